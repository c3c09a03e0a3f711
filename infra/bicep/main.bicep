// Mail Connector: everything that one function app needs, signed in by managed identities only. There is no password, key or
// connection string with a key in here, nor in anything that this deployment writes.
//
//   az deployment group create -g <resource group> -f main.bicep -p examples/small.bicepparam
//
// docs/deployment.md goes through it step by step. Each module is one idea; access.bicep has all that is granted, with the reason.
targetScope = 'resourceGroup'

@description('What the names of all resources begin with: lower-case letters and digits.')
@minLength(3)
@maxLength(11)
param name string

@description('Where everything lies. Flex Consumption is not offered in every region; az functionapp list-flexconsumption-locations names them.')
param location string = resourceGroup().location

@description('flex: Flex Consumption, paid by use; the right one for almost all. premium: Elastic Premium, always at least one instance.')
@allowed([
  'flex'
  'premium'
])
param plan string = 'flex'

@description('Memory of one instance in MB (flex). 2048 carries messages of 25 MB with room to spare.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('How many instances there may be at most. Flex Consumption takes 40 to 1000; Elastic Premium is held to 20.')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 40

@description('Version of Python. requirements.txt is pinned for all of them.')
@allowed([
  '3.11'
  '3.12'
  '3.13'
])
param pythonVersion string = '3.11'

@description('How many jobs get a timer of their own; those above it are run by the sweep, within about a minute and a half.')
@minValue(1)
@maxValue(5000)
param maxTimers int = 500

@description('public: the app reaches mail servers over the internet. private: storage and vault are reached by private endpoints alone, and the app goes out through its virtual network, as on-premises Exchange behind a VPN needs it.')
@allowed([
  'public'
  'private'
])
param networkMode string = 'public'

@description('Address space of the virtual network (private).')
param addressPrefix string = '10.60.0.0/24'

@description('Subnet through which the app goes out (private): at least a /27.')
param appSubnetPrefix string = '10.60.0.0/26'

@description('Subnet of the private endpoints (private).')
param endpointSubnetPrefix string = '10.60.0.64/27'

@description('Client ID of the app registration by which people and pipelines sign in to the API (infra/entra makes it). Empty: function keys.')
param signInClientId string = ''

@description('Make a second identity that is granted nothing in Azure, for jobs to sign in to mailboxes with. Without it, the app\'s own identity does both.')
param ownMailboxIdentity bool = false

@description('Let the app restart itself when jobs have got new schedules, so that their own timers carry them. Without it the sweep does. Deploying it takes the right to make a custom role.')
param reindex bool = false

@description('Jobs to begin with, each as PUT /api/jobs/{id} takes it, with its id. Each is made once; later changes here change nothing. About 10 fit: the platform bounds app settings.')
param seedJobs array = []

@description('Who is told of alarms, by e-mail. Empty: alerts are seen in the portal only.')
param alertEmails array = []

@description('For how many days logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('On every resource.')
param tags object = {}

// Names that are unique in the world end with this: the same for the same resource group at every deployment.
var suffix = uniqueString(resourceGroup().id, name)
var private = networkMode == 'private'
var signInByEntra = !empty(signInClientId)

module identity 'modules/identity.bicep' = {
  name: 'identity'
  params: {
    name: '${name}-app'
    location: location
    tags: tags
  }
}

module mailboxIdentity 'modules/identity.bicep' = if (ownMailboxIdentity) {
  name: 'mailbox-identity'
  params: {
    name: '${name}-mailboxes'
    location: location
    tags: tags
  }
}

module network 'modules/network.bicep' = if (private) {
  name: 'network'
  params: {
    name: '${name}-network'
    location: location
    tags: tags
    addressPrefix: addressPrefix
    appSubnetPrefix: appSubnetPrefix
    endpointSubnetPrefix: endpointSubnetPrefix
    delegation: plan == 'flex' ? 'Microsoft.App/environments' : 'Microsoft.Web/serverFarms'
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: take('${name}${suffix}', 24)
    location: location
    tags: tags
    private: private
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  params: {
    name: take('${name}-${suffix}', 24)
    location: location
    tags: tags
    private: private
    workspaceId: telemetry.outputs.workspaceId
  }
}

module telemetry 'modules/telemetry.bicep' = {
  name: 'telemetry'
  params: {
    name: '${name}-logs'
    location: location
    tags: tags
    retentionDays: logRetentionDays
  }
}

module endpoints 'modules/endpoints.bicep' = if (private) {
  name: 'endpoints'
  params: {
    name: name
    location: location
    tags: tags
    networkId: private ? network.outputs.networkId : ''
    subnetId: private ? network.outputs.endpointSubnetId : ''
    storageId: storage.outputs.storageId
    vaultId: vault.outputs.vaultId
  }
}

module access 'modules/access.bicep' = {
  name: 'access'
  params: {
    principalId: identity.outputs.principalId
    storageName: storage.outputs.storageName
    vaultName: vault.outputs.vaultName
    insightsName: telemetry.outputs.insightsName
  }
}

// Every identity that the app may sign in with, and where it goes out; both kinds of site take them.
var identityIds = ownMailboxIdentity ? [
  identity.outputs.identityId
  mailboxIdentity.outputs.identityId
] : [
  identity.outputs.identityId
]
var appSubnetId = private ? network.outputs.appSubnetId : ''

var siteName = '${name}-${suffix}'

// Each is written down, with its meaning, in docs/operations.md; a test holds this list to what the code reads.
var baseSettings = {
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.outputs.clientId
  AzureWebJobsStorage__blobServiceUri: storage.outputs.blobUri
  AzureWebJobsStorage__queueServiceUri: storage.outputs.queueUri
  AzureWebJobsStorage__tableServiceUri: storage.outputs.tableUri
  APPLICATIONINSIGHTS_CONNECTION_STRING: telemetry.outputs.insightsAddress
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
  MAILCONNECTOR_KEY_VAULT_URI: vault.outputs.vaultUri
  MAILCONNECTOR_MAX_TIMERS: string(maxTimers)
  MAILCONNECTOR_AUTH: signInByEntra ? 'entra' : 'function_key'
}
var reindexSettings = {
  MAILCONNECTOR_REINDEX_SITE: resourceId('Microsoft.Web/sites', siteName)
  MAILCONNECTOR_ARM_URL: environment().resourceManager
}
var seedSettings = {
  MAILCONNECTOR_SEED_JOBS: string(seedJobs)
}
var settings = union(baseSettings, reindex ? reindexSettings : {}, empty(seedJobs) ? {} : seedSettings)

module flexSite 'modules/site-flex.bicep' = if (plan == 'flex') {
  name: 'site-flex'
  params: {
    name: siteName
    location: location
    tags: tags
    identityIds: identityIds
    appIdentityId: identity.outputs.identityId
    packageContainerUri: storage.outputs.packageContainerUri
    settings: settings
    subnetId: appSubnetId
    instanceMemoryMB: instanceMemoryMB
    maximumInstances: maximumInstances
    pythonVersion: pythonVersion
  }
  dependsOn: [
    access
    endpoints
  ]
}

module premiumSite 'modules/site-premium.bicep' = if (plan == 'premium') {
  name: 'site-premium'
  params: {
    name: siteName
    location: location
    tags: tags
    identityIds: identityIds
    appIdentityId: identity.outputs.identityId
    packageContainerUri: storage.outputs.packageContainerUri
    settings: settings
    subnetId: appSubnetId
    maximumInstances: maximumInstances
    pythonVersion: pythonVersion
  }
  dependsOn: [
    access
    endpoints
  ]
}

module signIn 'modules/sign-in.bicep' = if (signInByEntra) {
  name: 'sign-in'
  params: {
    siteName: siteName
    clientId: signInClientId
  }
  dependsOn: [
    flexSite
    premiumSite
  ]
}

module reindexRole 'modules/reindex-role.bicep' = if (reindex) {
  name: 'reindex-role'
  params: {
    siteName: siteName
    principalId: identity.outputs.principalId
  }
  dependsOn: [
    flexSite
    premiumSite
  ]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    name: name
    location: location
    tags: tags
    insightsId: telemetry.outputs.insightsId
    emails: alertEmails
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  params: {
    location: location
    tags: tags
    insightsId: telemetry.outputs.insightsId
  }
}

@description('Name of the function app: for az functionapp, and for azd.')
output siteName string = siteName

@description('Where the API is.')
output apiUrl string = 'https://${plan == 'flex' ? flexSite.outputs.hostName : premiumSite.outputs.hostName}/api'

@description('Where a package is put for deployment.')
output packageContainerUri string = storage.outputs.packageContainerUri

@description('Client ID by which jobs name the identity that signs in to mailboxes.')
output mailboxIdentityClientId string = ownMailboxIdentity ? mailboxIdentity.outputs.clientId : identity.outputs.clientId

@description('Object ID of the same identity: infra/exchange wants it.')
output mailboxIdentityPrincipalId string = ownMailboxIdentity ? mailboxIdentity.outputs.principalId : identity.outputs.principalId

@description('Name of the vault with the secrets of the jobs.')
output vaultName string = vault.outputs.vaultName

@description('Name of the storage account: to back up its tables.')
output storageName string = storage.outputs.storageName
