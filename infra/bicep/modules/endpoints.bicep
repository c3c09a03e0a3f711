// Private endpoints of storage and vault, with the DNS zones that lead to them from within the network.
param name string
param location string
param tags object
param networkId string
param subnetId string
param storageId string
param vaultId string

var storageSuffix = environment().suffixes.storage
// The vault's private zone has another word in it than the public one: learn.microsoft.com/azure/private-link/private-endpoint-dns.
var vaultZone = 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'

var services = [
  {
    name: 'blob'
    target: storageId
    zone: 'privatelink.blob.${storageSuffix}'
  }
  {
    name: 'queue'
    target: storageId
    zone: 'privatelink.queue.${storageSuffix}'
  }
  {
    name: 'table'
    target: storageId
    zone: 'privatelink.table.${storageSuffix}'
  }
  {
    name: 'vault'
    target: vaultId
    zone: vaultZone
  }
]

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [for service in services: {
  name: service.zone
  location: 'global'
  tags: tags
}]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (service, index) in services: {
  parent: zones[index]
  name: name
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: networkId
    }
  }
}]

resource endpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [for service in services: {
  name: '${name}-${service.name}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: service.name
        properties: {
          privateLinkServiceId: service.target
          groupIds: [
            service.name
          ]
        }
      }
    ]
  }
}]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [for (service, index) in services: {
  parent: endpoints[index]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: service.name
        properties: {
          privateDnsZoneId: zones[index].id
        }
      }
    ]
  }
}]
