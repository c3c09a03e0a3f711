<#
.SYNOPSIS
Makes the app registration by which people and pipelines sign in to the API, with the app roles reader, operator and admin.

.DESCRIPTION
Needed only with the parameter signInClientId of infra/bicep/main.bicep. There is no secret: callers bring tokens of their own. Run it
again at any time: a registration of that name is kept, and roles that it lacks are added. -WhatIf says what would be done.

.PARAMETER Name
Display name of the registration.

.EXAMPLE
Connect-MgGraph -Scopes Application.ReadWrite.All; ./New-ApiRegistration.ps1

.LINK
https://learn.microsoft.com/entra/identity-platform/howto-add-app-roles-in-apps
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [string] $Name = 'Mail Connector API'
)

$ErrorActionPreference = 'Stop'

# The ids are our own, the same in every tenant, so that a second run recognises them.
$roles = @(
    @{ Id = '5b0b9a3e-7c3f-4d0e-9d0a-2f6f3f1b8a01'; Value = 'reader'; DisplayName = 'Reader'; Description = 'Reads jobs, runs, tickets and what became of messages.' }
    @{ Id = '5b0b9a3e-7c3f-4d0e-9d0a-2f6f3f1b8a02'; Value = 'operator'; DisplayName = 'Operator'; Description = 'Starts runs, and retries or discards messages.' }
    @{ Id = '5b0b9a3e-7c3f-4d0e-9d0a-2f6f3f1b8a03'; Value = 'admin'; DisplayName = 'Admin'; Description = 'Changes jobs and secrets.' }
)

$there = Get-MgApplication -Filter "displayName eq '$Name'" | Select-Object -First 1
if (-not $there -and $PSCmdlet.ShouldProcess($Name, 'Make an app registration')) {
    $there = New-MgApplication -DisplayName $Name -SignInAudience 'AzureADMyOrg'
    Update-MgApplication -ApplicationId $there.Id -IdentifierUris @("api://$($there.AppId)")
    New-MgServicePrincipal -AppId $there.AppId | Out-Null
}
if (-not $there) { return }

$missing = @($roles | Where-Object { $_.Value -notin $there.AppRoles.Value })
if ($missing -and $PSCmdlet.ShouldProcess($Name, "Add the roles $($missing.Value -join ', ')")) {
    $all = @($there.AppRoles) + @($missing | ForEach-Object {
        @{ Id = $_.Id; Value = $_.Value; DisplayName = $_.DisplayName; Description = $_.Description; IsEnabled = $true; AllowedMemberTypes = @('User', 'Application') }
    })
    Update-MgApplication -ApplicationId $there.Id -AppRoles $all
}
Write-Output "signInClientId: $($there.AppId)"
Write-Output 'Give people and pipelines their roles in Enterprise applications, Users and groups.'
