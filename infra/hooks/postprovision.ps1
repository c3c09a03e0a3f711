# Says what only an administrator of Exchange and Entra can do now. Changes nothing. azd sets the outputs of main.bicep as variables.
$ErrorActionPreference = 'Stop'

Write-Output "The app is there: $env:apiUrl"
Write-Output ''
Write-Output 'Next, with the rights of an Exchange administrator:'
Write-Output "  ./infra/exchange/Grant-GraphMailbox.ps1 -ApplicationId $env:mailboxIdentityClientId -ObjectId $env:mailboxIdentityPrincipalId ``"
Write-Output '    -Group <group of the job mailboxes> -Mailbox <a job mailbox> -Outsider <another mailbox> -WhatIf'
Write-Output 'Then make the first job: docs/deployment.md, step 5.'
