<#
.SYNOPSIS
Lets an app registration into mailboxes of Exchange Online by IMAP4 and POP3.

.DESCRIPTION
Beside this, the app registration needs the application permission IMAP.AccessAsApp or POP.AccessAsApp of Office 365 Exchange
Online, with consent. It opens nothing by itself: the mailboxes below do. Run it again at any time; -WhatIf says what would be done.

.PARAMETER ApplicationId
Application (client) ID.

.PARAMETER ObjectId
Object ID of the enterprise application, not that of the app registration.

.PARAMETER Mailbox
The job mailboxes.

.PARAMETER Remove
Take the app out of these mailboxes again. The protocols stay switched on: others may use them.

.EXAMPLE
./Grant-ImapPopMailbox.ps1 -ApplicationId $app -ObjectId $object -Mailbox support@contoso.com -Protocol Imap

.LINK
https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [guid] $ApplicationId,
    [Parameter(Mandatory)] [guid] $ObjectId,
    [Parameter(Mandatory)] [string[]] $Mailbox,
    [ValidateSet('Imap', 'Pop')] [string] $Protocol = 'Imap',
    [string] $Name = 'Mail Connector',
    [switch] $Remove
)

$ErrorActionPreference = 'Stop'

if ($Remove) {
    foreach ($one in $Mailbox) {
        if ($PSCmdlet.ShouldProcess($one, 'Take the app out of the mailbox')) {
            Remove-MailboxPermission -Identity $one -User $ObjectId -AccessRights FullAccess -Confirm:$false
        }
    }
    return
}

if (Get-ServicePrincipal -Identity $ObjectId -ErrorAction SilentlyContinue) {
    Write-Output 'Exchange knows the app already.'
}
elseif ($PSCmdlet.ShouldProcess($ApplicationId, 'Make the app known to Exchange')) {
    New-ServicePrincipal -AppId $ApplicationId -ObjectId $ObjectId -DisplayName $Name | Out-Null
}

foreach ($one in $Mailbox) {
    if (Get-MailboxPermission -Identity $one -User $ObjectId -ErrorAction SilentlyContinue) {
        Write-Output "The app is in $one already."
    }
    elseif ($PSCmdlet.ShouldProcess($one, 'Let the app into the mailbox')) {
        Add-MailboxPermission -Identity $one -User $ObjectId -AccessRights FullAccess -AutoMapping $false | Out-Null
    }
    $access = Get-CASMailbox -Identity $one
    if ($Protocol -eq 'Imap' -and -not $access.ImapEnabled -and $PSCmdlet.ShouldProcess($one, 'Switch IMAP4 on')) {
        Set-CASMailbox -Identity $one -ImapEnabled $true
    }
    if ($Protocol -eq 'Pop' -and -not $access.PopEnabled -and $PSCmdlet.ShouldProcess($one, 'Switch POP3 on')) {
        Set-CASMailbox -Identity $one -PopEnabled $true
    }
}
Write-Output 'Done. It may take up to an hour until it counts.'
