#!/usr/bin/env sh
# Says what only an administrator of Exchange and Entra can do now. Changes nothing. azd sets the outputs of main.bicep as variables.
set -eu

cat <<END
The app is there: ${apiUrl:-its address is an output of the deployment}

Next, with the rights of an Exchange administrator:
  ./infra/exchange/Grant-GraphMailbox.ps1 -ApplicationId ${mailboxIdentityClientId:-<client id>} -ObjectId ${mailboxIdentityPrincipalId:-<object id>} \\
    -Group <group of the job mailboxes> -Mailbox <a job mailbox> -Outsider <another mailbox> -WhatIf
Then make the first job: docs/deployment.md, step 5.
END
