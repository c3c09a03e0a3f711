// The storage account: jobs, ledger and tickets in tables, originals and attachments in blobs, the run queue, and the host's own
// state. There is no way in with an account key.
param name string
param location string
param tags object
param private bool

resource storage 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_ZRS'
  }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: private ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: storage
  name: 'default'
  properties: {
    // A copy that was removed by mistake can be fetched back for a week. Housekeeping counts on nothing that this keeps.
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: 'packages'
  properties: {
    publicAccess: 'None'
  }
}

output storageId string = storage.id
output storageName string = storage.name
output blobUri string = storage.properties.primaryEndpoints.blob
output queueUri string = storage.properties.primaryEndpoints.queue
output tableUri string = storage.properties.primaryEndpoints.table
output packageContainerUri string = '${storage.properties.primaryEndpoints.blob}${packages.name}'
