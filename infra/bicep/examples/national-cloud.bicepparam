// A national cloud: the names of its services come from the cloud that az is signed in to (az cloud set). Regions there may have no
// Flex Consumption; then this plan is the way.
using '../main.bicep'

param name = 'mailconn'
param location = 'usgovvirginia'
param plan = 'premium'
param maximumInstances = 3
param signInClientId = '00000000-0000-0000-0000-000000000000'
