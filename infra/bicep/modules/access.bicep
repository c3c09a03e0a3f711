// All that the app's identity is granted in Azure, each with its reason. What it may do with mailboxes is granted in Exchange:
// infra/exchange.
param principalId string
param storageName string
param vaultName string
param insightsName string

resource storage 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

var storageRoles = [
  {
    role: 'Storage Blob Data Owner'
    id: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
    reason: 'Leases and keys of the Functions host, its package, and our own copies and attachments. The host asks for Owner.'
  }
  {
    role: 'Storage Queue Data Contributor'
    id: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
    reason: 'The run queue is made, written to and read.'
  }
  {
    role: 'Storage Table Data Contributor'
    id: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
    reason: 'Jobs, ledger, runs and tickets.'
  }
]

var vaultRoles = [
  {
    role: 'Key Vault Secrets Officer'
    id: 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
    reason: 'Runs read the secrets of their jobs; PUT and DELETE /api/secrets write and remove them.'
  }
]

var insightsRoles = [
  {
    role: 'Monitoring Metrics Publisher'
    id: '3913510d-42f4-4e42-8a64-420c390055eb'
    reason: 'Sends logs, metrics and traces; it cannot read them.'
  }
]

resource storageAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in storageRoles: {
  scope: storage
  name: guid(storage.id, principalId, grant.id)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.id)
    description: grant.reason
  }
}]

resource vaultAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in vaultRoles: {
  scope: vault
  name: guid(vault.id, principalId, grant.id)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.id)
    description: grant.reason
  }
}]

resource insightsAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in insightsRoles: {
  scope: insights
  name: guid(insights.id, principalId, grant.id)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.id)
    description: grant.reason
  }
}]
