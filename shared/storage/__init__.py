"""Azure Table, Blob and Queue Storage behind the ports.

::

    table {prefix}jobs     PartitionKey = bucket of the job id (see `keys.bucket`)
                             job:{id}                      config, plain columns, state, lease: ONE row
                             msg:{id}:{mailbox}:{item}     ledger, sorted as the mailbox sorts
                             parked:{id}:{newest first}    messages that were given up on
                             purged:{id}:{newest first}    kept copies of purged messages
                             run:{id}:{newest first}       run records
                           PartitionKey = "mailbox"        which job integrates which mailbox
                           PartitionKey = "housekeeping"   the day on which it was last done
    table {prefix}tickets  the embedded `table` target (see `tickets`)
    table {prefix}threads  PartitionKey = target scope     Message-ID -> ticket
    table {prefix}receipts PartitionKey = target scope     what was delivered to systems outside
    blobs {prefix}-tickets, {prefix}-parked
    blobs {prefix}-purged  {day of expiry}/{job}/{any}     raw bytes of several messages, one behind the other
    blobs {prefix}-outbox  {message}/{any}                 what systems outside fetch
    queue {prefix}-runs

A job's row and its ledger share a partition so that every ledger write can carry, in its own transaction, a conditional
write of the job's row: that is the fence, and it renews the lease at no further cost.
"""

from shared.storage.open import Storage, open_storage

__all__ = ["Storage", "open_storage"]
