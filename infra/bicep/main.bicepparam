// What `azd up` deploys: azd fills the variables from its environment (azd env set <NAME> <value>).
using 'main.bicep'

param name = readEnvironmentVariable('MAILCONNECTOR_NAME', 'mailconn')
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
param signInClientId = readEnvironmentVariable('MAILCONNECTOR_SIGN_IN_CLIENT_ID', '')
