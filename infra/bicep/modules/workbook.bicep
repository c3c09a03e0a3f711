// What operators look at: tickets, delay and faults over time, and the jobs that are not healthy.
param location string
param tags object
param insightsId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'mail-connector')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    category: 'workbook'
    displayName: 'Mail Connector'
    sourceId: insightsId
    serializedData: loadTextContent('../workbook.json')
  }
}
