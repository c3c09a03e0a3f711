// One team, a few mailboxes: Flex Consumption, function keys.
using '../main.bicep'

param name = 'mailconn'
param alertEmails = [
  'servicedesk@example.com'
]
