<#
.SYNOPSIS
Looks for consents in Entra that open every mailbox of the tenant to the app. Changes nothing.

.DESCRIPTION
Permissions add up: an application permission such as Mail.ReadWrite of Microsoft Graph, or full_access_as_app of Exchange, lets the
app into all mailboxes, so that a scope in Exchange (Grant-GraphMailbox.ps1) narrows nothing. Ends with an error where there is one,
and says how to take it back.

.PARAMETER ObjectId
Object ID of the enterprise application or managed identity.

.EXAMPLE
Connect-MgGraph -Scopes Application.Read.All; ./Find-TenantWideMailConsent.ps1 -ObjectId $object

.LINK
https://learn.microsoft.com/exchange/permissions-exo/application-rbac
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory)] [guid] $ObjectId
)

$ErrorActionPreference = 'Stop'

# Those that are harmless here: the first two open nothing without a right in the mailbox itself.
$harmless = @('IMAP.AccessAsApp', 'POP.AccessAsApp', 'SMTP.SendAsApp')
$found = @()
foreach ($grant in @(Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $ObjectId -All)) {
    $resource = Get-MgServicePrincipal -ServicePrincipalId $grant.ResourceId
    $permission = ($resource.AppRoles | Where-Object { $_.Id -eq $grant.AppRoleId }).Value
    $aboutMail = $permission -like 'Mail*' -or $permission -like '*full_access_as_app*' -or $permission -like 'Exchange.ManageAsApp*'
    if ($aboutMail -and $permission -notin $harmless) {
        $found += [pscustomobject]@{ Permission = $permission; Resource = $resource.DisplayName; Assignment = $grant.Id }
    }
}
if (-not $found) {
    Write-Output 'No consent opens all mailboxes: only scopes in Exchange decide.'
    return
}
$found | Format-Table
foreach ($one in $found) {
    Write-Output "Take back: Remove-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $ObjectId -AppRoleAssignmentId $($one.Assignment)"
}
throw "$($found.Count) consent(s) widen what the app reaches to every mailbox of the tenant, whatever scopes say."
