// The function app on Elastic Premium: one instance is always there, and the platform fetches the package with the app's identity.
// There is no file share, since that would want an account key: WEBSITE_RUN_FROM_PACKAGE names the blob.
param name string
param location string
param tags object

@description('Every identity that the app may sign in with.')
param identityIds array

@description('The one with which the platform fetches the package.')
param appIdentityId string
param packageContainerUri string
param settings object

@description('Empty: straight out to the internet.')
param subnetId string
param maximumInstances int
param pythonVersion string

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'elastic'
  sku: {
    tier: 'ElasticPremium'
    name: 'EP1'
  }
  properties: {
    reserved: true
    maximumElasticWorkerCount: min(maximumInstances, 20)
  }
}

resource site 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: union(tags, {
    'azd-service-name': 'app'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: toObject(identityIds, id => id, id => {})
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    keyVaultReferenceIdentity: appIdentityId
    siteConfig: {
      linuxFxVersion: 'Python|${pythonVersion}'
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      minimumElasticInstanceCount: 1
      vnetRouteAllEnabled: !empty(subnetId)
    }
  }

  resource appSettings 'config' = {
    name: 'appsettings'
    properties: union(settings, {
      FUNCTIONS_EXTENSION_VERSION: '~4'
      FUNCTIONS_WORKER_RUNTIME: 'python'
      WEBSITE_RUN_FROM_PACKAGE: '${packageContainerUri}/app.zip'
      WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID: appIdentityId
    })
  }

  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: {
      allow: false
    }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: {
      allow: false
    }
  }
}

output hostName string = site.properties.defaultHostName
