"""Errors of the domain. Each has a stable code and a sentence that says what a user can do.

ClaimsightError
├── NotFound                claim_not_found, asset_not_found, page_not_found, job_not_found, key_not_found
├── Conflict                claim_exists, claim_held, version_conflict, idempotency_conflict, job_not_finished,
│                           audit_conflict, target_not_empty, target_busy, key_exists, key_ended
├── InvalidInput            bad_filter, bad_query, bad_cursor, bad_claim, bad_filename, ... (names the field)
├── Refused                 a file that is not taken: empty_file, unsupported_type, encrypted, damaged, ...
│   └── TooLarge            file_too_large, request_too_large, quota_exceeded
├── LeaseLost               lease_lost (a worker must stop, nothing to show a user)
├── EncoderMismatch         encoder_mismatch
├── EncoderTrouble          encoder_unavailable, encoder_rate_limited, explain_unsupported, ...
├── StoreUnavailable        store_unavailable, busy, queue_full, store_newer, file_missing, file_damaged,
│                           audit_unavailable, audit_key_unreadable, encryption_key_missing,
│                           backup_damaged, backup_newer
└── IndexNotReady           index_missing, index_building, index_failed, index_outdated
"""

from __future__ import annotations


class ClaimsightError(Exception):
    """code: stable, snake_case. detail: one sentence for the user, without secrets or paths of the server."""

    code = "error"

    def __init__(self, detail: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        if code is not None:
            self.code = code


class NotFound(ClaimsightError):
    code = "not_found"

    @classmethod
    def of(cls, noun: str, identifier: str) -> NotFound:
        """noun: "claim", "asset", "page", "job" or "key"."""
        return cls(f"There is no {noun} {identifier[:80]!r}.", code=f"{noun}_not_found")


class Conflict(ClaimsightError):
    code = "conflict"


class InvalidInput(ClaimsightError):
    """field: dotted path of the field that is wrong."""

    code = "invalid_input"


class Refused(ClaimsightError):
    """A file that Claimsight does not take, for a reason that stays the same when it is tried again."""

    code = "refused"


class TooLarge(Refused):
    code = "file_too_large"


class LeaseLost(ClaimsightError):
    code = "lease_lost"


class EncoderMismatch(ClaimsightError):
    code = "encoder_mismatch"


class EncoderTrouble(ClaimsightError):
    """The encoder failed. retryable: the same input may work later."""

    code = "encoder_unavailable"

    def __init__(self, detail: str, *, code: str, retryable: bool, retry_after_s: float | None = None) -> None:
        super().__init__(detail, code=code)
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class StoreUnavailable(ClaimsightError):
    code = "store_unavailable"


class IndexNotReady(ClaimsightError):
    code = "index_missing"
