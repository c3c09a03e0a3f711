<#
.SYNOPSIS
Lets the app into the job mailboxes by Microsoft Graph, and into no other.

.DESCRIPTION
Exchange's RBAC for Applications: a pointer to the app, a scope that holds the job mailboxes, and the role
"Application Mail.ReadWrite" within that scope. Run it again at any time: what is there stays. -WhatIf says what would be done.

Afterwards it tries: each job mailbox must be in scope, and the mailbox given as -Outsider must not be. A change takes up to two
hours to count; the test here does not wait for that.

Permissions add up: a consent to Mail.* in Entra opens every mailbox, whatever this script does. Find-TenantWideMailConsent.ps1
looks for one.

.PARAMETER ApplicationId
Application (client) ID; for a managed identity the output mailboxIdentityClientId of the deployment.

.PARAMETER ObjectId
Object ID of the enterprise application; for a managed identity the output mailboxIdentityPrincipalId. Not that of the app registration.

.PARAMETER Group
A mail-enabled security group whose direct members are the job mailboxes. Members of groups within it do not count.

.PARAMETER Attribute
Instead of a group: the custom attribute (1 to 15) that marks job mailboxes with the value MailConnector.

.PARAMETER Mailbox
Job mailboxes to try.

.PARAMETER Outsider
A mailbox that the app must not reach.

.PARAMETER Send
Grant "Application Mail.Send" in the same scope: for canaries only.

.PARAMETER Remove
Take back everything that this script grants.

.EXAMPLE
./Grant-GraphMailbox.ps1 -ApplicationId $app -ObjectId $object -Group job-mailboxes@contoso.com -Mailbox support@contoso.com -Outsider ceo@contoso.com -WhatIf

.LINK
https://learn.microsoft.com/exchange/permissions-exo/application-rbac
#>
[CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Group')]
param(
    [Parameter(Mandatory)] [guid] $ApplicationId,
    [Parameter(Mandatory)] [guid] $ObjectId,
    [Parameter(Mandatory, ParameterSetName = 'Group')] [string] $Group,
    [Parameter(Mandatory, ParameterSetName = 'Attribute')] [ValidateRange(1, 15)] [int] $Attribute,
    [string[]] $Mailbox = @(),
    [string] $Outsider,
    [string] $Name = 'Mail Connector',
    [switch] $Send,
    [switch] $Remove
)

$ErrorActionPreference = 'Stop'

$roles = @('Application Mail.ReadWrite')
if ($Send) { $roles += 'Application Mail.Send' }

if ($Remove) {
    foreach ($assignment in @(Get-ManagementRoleAssignment -RoleAssignee $ObjectId -ErrorAction SilentlyContinue)) {
        if ($PSCmdlet.ShouldProcess($assignment.Name, 'Remove role assignment')) {
            Remove-ManagementRoleAssignment -Identity $assignment.Name -Confirm:$false
        }
    }
    if ((Get-ManagementScope -Identity $Name -ErrorAction SilentlyContinue) -and $PSCmdlet.ShouldProcess($Name, 'Remove scope')) {
        Remove-ManagementScope -Identity $Name -Confirm:$false
    }
    Write-Output "The app has no role in Exchange any more. Its pointer stays: Remove-ServicePrincipal -Identity $ObjectId takes it away."
    return
}

if (Get-ServicePrincipal -Identity $ObjectId -ErrorAction SilentlyContinue) {
    Write-Output 'Exchange knows the app already.'
}
elseif ($PSCmdlet.ShouldProcess($ApplicationId, 'Make the app known to Exchange')) {
    New-ServicePrincipal -AppId $ApplicationId -ObjectId $ObjectId -DisplayName $Name | Out-Null
}

if ($PSCmdlet.ParameterSetName -eq 'Group') {
    $members = (Get-DistributionGroup -Identity $Group).DistinguishedName
    $filter = "MemberOfGroup -eq '$members'"
}
else {
    $filter = "CustomAttribute$Attribute -eq 'MailConnector'"
}

$scope = Get-ManagementScope -Identity $Name -ErrorAction SilentlyContinue
if (-not $scope) {
    if ($PSCmdlet.ShouldProcess($Name, "Make a scope of the mailboxes where $filter")) {
        New-ManagementScope -Name $Name -RecipientRestrictionFilter $filter | Out-Null
    }
}
elseif ($scope.RecipientFilter -ne $filter -and $PSCmdlet.ShouldProcess($Name, "Change the scope to the mailboxes where $filter")) {
    Set-ManagementScope -Identity $Name -RecipientRestrictionFilter $filter
}

$assigned = @(Get-ManagementRoleAssignment -RoleAssignee $ObjectId -ErrorAction SilentlyContinue)
foreach ($role in $roles) {
    if ($assigned | Where-Object { $_.Role -eq $role -and $_.CustomResourceScope -eq $Name }) {
        Write-Output "$role is granted already."
    }
    elseif ($PSCmdlet.ShouldProcess($Name, "Grant $role")) {
        New-ManagementRoleAssignment -App $ObjectId -Role $role -CustomResourceScope $Name | Out-Null
    }
}

if ($WhatIfPreference) { return }

$wrong = @()
foreach ($one in $Mailbox) {
    $answers = @(Test-ServicePrincipalAuthorization -Identity $ObjectId -Resource $one)
    foreach ($role in $roles) {
        if (-not ($answers | Where-Object { $_.RoleName -eq $role -and $_.InScope })) { $wrong += "$one is not in the scope of $role." }
    }
}
if ($Outsider) {
    $reached = @(Test-ServicePrincipalAuthorization -Identity $ObjectId -Resource $Outsider | Where-Object { $_.InScope })
    if ($reached) { $wrong += "$Outsider can be reached by $($reached.RoleName -join ', '), and must not be." }
}
if ($wrong) { throw ($wrong -join ' ') }
Write-Output 'The job mailboxes can be reached, and the other one cannot. It may take up to two hours until Graph acts on it.'
