// On-premises Exchange behind a VPN, sign-in by Entra, its own identity for mailboxes, and timers that follow the schedules.
using '../main.bicep'

param name = 'mailconn'
param networkMode = 'private'
param addressPrefix = '10.60.0.0/24'
param appSubnetPrefix = '10.60.0.0/26'
param endpointSubnetPrefix = '10.60.0.64/27'
param signInClientId = '00000000-0000-0000-0000-000000000000'
param ownMailboxIdentity = true
param reindex = true
param alertEmails = [
  'servicedesk@example.com'
]
