// The right to restart this one site and to have its triggers read anew, and no other: no built-in role is that small.
param siteName string
param principalId string

resource site 'Microsoft.Web/sites@2024-04-01' existing = {
  name: siteName
}

var scope = resourceGroup().id

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(scope, siteName, 'reindex')
  properties: {
    roleName: 'Mail Connector re-index (${siteName})'
    description: 'Restart a function app and have its triggers read anew.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.Web/sites/read'
          'Microsoft.Web/sites/restart/action'
          'Microsoft.Web/sites/syncfunctiontriggers/action'
        ]
        notActions: []
      }
    ]
    assignableScopes: [
      scope
    ]
  }
}

resource grant 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: site
  name: guid(site.id, principalId, role.id)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: role.id
    description: 'New schedules get timers of their own without a deployment.'
  }
}
