<#
.SYNOPSIS
Keeps EWS going for one app until Exchange Online switches it off for good on 2027-04-01.

.DESCRIPTION
The list of allowed apps is written before EWS is switched on, so that at no moment every app is let in. The parameter replaces the
whole list: the apps that are on it already are written again with the new one. Run it again at any time; -WhatIf says what would be
done. Changing the jobs to api 'graph' is what lasts.

.PARAMETER ApplicationId
Application (client) ID that may go on.

.PARAMETER Remove
Take this app off the list. With the last one gone, EWS is switched off for the tenant.

.EXAMPLE
./Allow-Ews.ps1 -ApplicationId $app -WhatIf

.LINK
https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/deprecation-of-ews-exchange-online
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [guid] $ApplicationId,
    [switch] $Remove
)

$ErrorActionPreference = 'Stop'

$end = [datetime]::new(2027, 4, 1, 0, 0, 0, [System.DateTimeKind]::Utc)
$left = [math]::Floor(($end - [datetime]::UtcNow).TotalDays)
if ($left -le 0) { throw 'EWS has ended in Exchange Online. Change the jobs to api graph.' }
Write-Warning "EWS ends on 2027-04-01, in $left days, whatever is set here."

$organization = Get-OrganizationConfig
$allowed = @($organization.EwsAllowedAppIDs | Where-Object { $_ } | ForEach-Object { "$_" })
$wanted = @($allowed | Where-Object { $_ -ne "$ApplicationId" })
if (-not $Remove) { $wanted += "$ApplicationId" }

if (Compare-Object -ReferenceObject @($allowed) -DifferenceObject @($wanted)) {
    if ($PSCmdlet.ShouldProcess("EwsAllowedAppIDs: $($wanted -join ', ')", 'Write the whole list')) {
        Set-OrganizationConfig -EwsAllowedAppIDs $wanted
    }
}
$on = $wanted.Count -gt 0
if ($organization.EwsEnabled -ne $on -and $PSCmdlet.ShouldProcess("EwsEnabled: $on", 'Change')) {
    Set-OrganizationConfig -EwsEnabled $on
}
Write-Output 'Done. It may take up to 24 hours until it counts.'
