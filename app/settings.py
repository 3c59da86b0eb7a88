"""Every option of Claimsight: one class, read from CLAIMSIGHT_* variables and from nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ByteSize, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.oidc import ALGORITHMS, Trust, require_safe
from models import is_encoder_name
from retrieval.errors import InvalidInput
from retrieval.ingestion.limits import MIB, Limits
from retrieval.search import DEFAULT_CACHE_BYTES, DEFAULT_SKETCH_BYTES
from retrieval.stores import Keyring

PREFIX = "CLAIMSIGHT_"
HOME = Path(".claimsight")

# Read by rooms that know no settings: kernels picks a code path, the dashboard finds the API.
FOREIGN: Mapping[str, str] = {
    "CLAIMSIGHT_KERNELS": "Read by `kernels`: `reference` or `triton` forces one code path; tests use it.",
    "CLAIMSIGHT_API_URL": "Read by the dashboard: where the API answers.",
}


class Settings(BaseSettings):
    """Values are checked when they are read; a wrong one is refused with its variable's name."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True)

    store: SecretStr = Field(
        SecretStr(f"sqlite:{HOME / 'data'}"),
        description="Where everything is kept: `sqlite:FOLDER` (embedded, relative to the working folder) or a "
        "`mongodb://` or `mongodb+srv://` address with the database's name. It may hold a password, so it is shown "
        "without one.",
    )
    encoder: str = Field(
        "local",
        description="What turns pages and words into vectors: `local`, our own model; `voyage`, voyage-multimodal-3.5; "
        "`voyage+local`, the same with our look at each photo beside it; or `onnx:PATH`, any image encoder exported to "
        "ONNX (`docs/encoders.md`).",
    )
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = Field(
        "default",
        description="The server's own tenant: whose data commands work on, and requests where no keys are asked for. "
        "Every record carries one; no request can name another than that of its key.",
    )
    host: str = Field(
        "127.0.0.1", description="Address that `serve` listens on. Any but loopback needs a key or an issuer of tokens."
    )
    port: Annotated[int, Field(ge=1, le=65535)] = Field(8000, description="Port that `serve` listens on.")
    workers: Annotated[int, Field(ge=0, le=64)] = Field(
        1, description="Ingest processes that `serve` starts and keeps alive; 0 where `worker` runs elsewhere."
    )
    api_key: Annotated[SecretStr, Field(min_length=16)] | None = Field(
        None,
        description="A first key, an admin of `CLAIMSIGHT_TENANT`, at least 16 characters; it cannot be revoked. For "
        "people and programs make keys with `claimsight keys create`. Without any key only this machine may ask.",
    )
    oidc_issuer: str = Field(
        "",
        description="Issuer of OpenID Connect tokens that requests may carry instead of a key, as the tokens name it.",
    )
    oidc_audience: str = Field("", validate_default=True, description="Audience that the tokens must name.")
    oidc_jwks_url: str = Field(
        "", description="Where the issuer's keys are; empty: as its `/.well-known/openid-configuration` says."
    )
    oidc_algorithms: str = Field(
        "RS256,ES256",
        description="Signatures that are taken, with commas between: RS, PS and ES with 256, 384 or 512, EdDSA.",
    )
    oidc_tenant_claim: str = Field(
        "",
        description="Claim of the token that names the tenant, with dots for objects in objects; empty: all are of "
        "`CLAIMSIGHT_TENANT`.",
    )
    oidc_role_claim: str = Field(
        "roles", description="Claim of the token, text or a list, that holds `viewer`, `adjuster` or `admin`."
    )
    rate_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        1200, description="Requests a minute that one key may send to one server, over time; 0 for no limit."
    )
    rate_burst: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        300, description="Requests that one key may send at once before that counts."
    )
    voyage_api_key: SecretStr = Field(SecretStr(""), description="Key of Voyage, or an Atlas model key.")
    voyage_base_url: str = Field("", description="Address of the Voyage API; empty for the one that fits the key.")
    voyage_dims: int = Field(1024, description="Length of Voyage's vectors: 256, 512, 1024 or 2048.")
    voyage_timeout_s: Annotated[float, Field(gt=0, le=600)] = Field(
        60.0, description="Seconds that one request to Voyage may take."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the local encoder computes.")
    threads: Annotated[int, Field(ge=0, le=1024)] = Field(
        0,
        description="CPU threads of the local or onnx encoder in one process; 0 shares the cores among the processes.",
    )
    spool_dir: Path | None = Field(
        None,
        description="Folder for files on their way in. Unset: `spool` in the data folder, or `.claimsight/spool` "
        "with MongoDB.",
    )
    max_file_mib: Annotated[int, Field(ge=1, le=4096)] = Field(
        Limits().file_bytes // MIB, description="Largest uploaded file, in MiB."
    )
    max_request_mib: Annotated[int, Field(ge=1, le=16384)] = Field(
        Limits().request_bytes // MIB, description="Largest upload, all files together, in MiB."
    )
    max_files: Annotated[int, Field(ge=1, le=1000)] = Field(100, description="Most files in one upload.")
    max_pages: Annotated[int, Field(ge=1, le=100_000)] = Field(
        Limits().pages, description="Most pages of one file; a longer one is refused before it is rendered."
    )
    max_requests: Annotated[int, Field(ge=1, le=100_000)] = Field(
        500, description="Requests that `serve` works on at once; more are answered with 503."
    )
    max_searches: Annotated[int, Field(ge=1, le=10_000)] = Field(
        16,
        description="Searches that `serve` works on at once; as many again wait, more are answered with 503.",
    )
    max_stored_bytes: ByteSize = Field(
        ByteSize(0),
        description="Most bytes of all files of a tenant, as uploaded and each once, for example `500 GiB`; what goes "
        "beyond is refused. 0 for no limit.",
    )
    max_queued: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        10_000,
        description="Files that may wait for their ingest; then uploads are answered with 503 until some are done.",
    )
    lease_ttl_s: Annotated[float, Field(ge=1, le=3600)] = Field(
        30.0, description="Seconds after which another worker takes over the file of a worker that died."
    )
    max_attempts: Annotated[int, Field(ge=1, le=100)] = Field(
        5, description="How often in a row a file is tried without a page stored before it counts as failed."
    )
    cache_mib: Annotated[int, Field(ge=1, le=1_048_576)] = Field(
        DEFAULT_CACHE_BYTES // MIB, description="Memory for vectors in the searching process, in MiB."
    )
    sketch_mib: Annotated[int, Field(ge=1, le=1_048_576)] = Field(
        DEFAULT_SKETCH_BYTES // MIB,
        description="Memory for coarse copies of vectors, in MiB: taken where a tenant has more than 40,000 pages.",
    )
    encryption_key: SecretStr = Field(
        SecretStr(""),
        description="Key that originals and page pictures are encrypted with at rest, 32 bytes as 64 hex digits or as "
        "base64 (`claimsight encryption new-key`). Several, with commas between: the first encrypts, the others still "
        "open what they encrypted. Unset: nothing is encrypted.",
    )
    encryption_key_file: Path | None = Field(
        None, description="File with the keys instead, one a line, the first one first."
    )
    retention_rules: Path | None = Field(
        None,
        description="JSON file that says how long claims are kept, read by `claimsight retention run`. Unset: for "
        "ever.",
    )
    audit_queries: Literal["hashed", "kept"] = Field(
        "hashed",
        description="What the audit keeps of the words, pictures and filters of a search: a keyed hash, or the words "
        "and filters themselves.",
    )
    audit_key_file: Path | None = Field(
        None,
        description="File with the key of those hashes, made when it is missing. Unset: `audit.key` in the data "
        "folder, or in the spool folder with MongoDB, where several servers should share one.",
    )
    worker_metrics_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        0,
        description="Port at which a `worker` that was started by itself shows its figures to Prometheus, on "
        "CLAIMSIGHT_HOST; 0 for none. Workers under `serve` are counted in its /metrics.",
    )
    otlp_endpoint: str = Field(
        "",
        description="Address of an OTLP receiver for traces, for example `http://127.0.0.1:4318/v1/traces`; needs the "
        "extra `claimsight[otel]`. Unset: no traces.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least important events that are logged, one JSON object a line on stderr."
    )

    @field_validator("store")
    @classmethod
    def _known_scheme(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("sqlite:", "mongodb://", "mongodb+srv://")):
            raise ValueError("it begins with sqlite:, mongodb:// or mongodb+srv://")
        return value

    @field_validator("encoder")
    @classmethod
    def _known_encoder(cls, value: str) -> str:
        if not is_encoder_name(value):
            raise ValueError("it is local, voyage, voyage+local or onnx:PATH")
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("it begins with http:// or https://")
        return value

    @field_validator("voyage_dims")
    @classmethod
    def _known_dims(cls, value: int) -> int:
        if value not in (256, 512, 1024, 2048):
            raise ValueError("it is 256, 512, 1024 or 2048")
        return value

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _safe_address(cls, value: str) -> str:
        return require_safe(value) if value else value

    @field_validator("oidc_audience")
    @classmethod
    def _named_with_issuer(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("oidc_issuer") and not value:
            raise ValueError("it must be set where CLAIMSIGHT_OIDC_ISSUER is")
        return value

    @field_validator("oidc_algorithms")
    @classmethod
    def _signatures_of_issuers(cls, value: str) -> str:
        named = value.split(",")
        if unknown := [name for name in named if name not in ALGORITHMS]:
            raise ValueError(f"it takes {', '.join(ALGORITHMS)}; not {unknown[0]!r}")
        return value

    def trust(self) -> Trust | None:
        """Whose tokens are taken; None where no issuer is set."""
        if not self.oidc_issuer:
            return None
        return Trust(
            issuer=self.oidc_issuer,
            audience=self.oidc_audience,
            tenant=self.tenant,
            jwks_url=self.oidc_jwks_url,
            algorithms=self.oidc_algorithms.split(","),
            tenant_claim=self.oidc_tenant_claim,
            role_claim=self.oidc_role_claim,
        )

    def limits(self) -> Limits:
        return Limits(
            file_bytes=self.max_file_mib * MIB,
            request_bytes=self.max_request_mib * MIB,
            stored_bytes=self.max_stored_bytes or None,
            pages=self.max_pages,
        )

    def keys(self) -> Keyring | None:
        """Of the encryption; None where nothing is to be encrypted. Reads a small file.

        Raises InvalidInput bad_encryption_key.
        """
        text = self.encryption_key.get_secret_value()
        if self.encryption_key_file is not None:
            try:
                text = self.encryption_key_file.read_text(encoding="ascii")
            except (OSError, UnicodeError):
                text = "unreadable"
        is_wanted = self.encryption_key_file is not None or text.strip()
        return Keyring.parse(text) if is_wanted else None

    def data_folder(self) -> Path | None:
        """The folder of the embedded store; None with MongoDB."""
        scheme, _, rest = self.store.get_secret_value().partition(":")
        return Path(rest.removeprefix("//")).expanduser() if scheme == "sqlite" else None

    def audit_key_path(self) -> Path:
        return self.audit_key_file or (self.data_folder() or self.spool_folder()) / "audit.key"

    def spool_folder(self) -> Path:
        return self.spool_dir or (self.data_folder() or HOME) / "spool"


def load_settings(**given: object) -> Settings:
    """Settings from the environment; `given` (from the command line) wins where it is not None.

    Raises InvalidInput bad_setting for an unknown CLAIMSIGHT_* variable or a value that does not fit, naming it.
    """
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields} | set(FOREIGN)
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    if unknown:
        names = ", ".join(unknown)
        raise InvalidInput(
            f"There is no setting {names}. `claimsight config` lists them.", code="bad_setting", field=unknown[0]
        )
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = f"{PREFIX}{first['loc'][0]}".upper() if first["loc"] else PREFIX
        raise InvalidInput(f"{name}: {first['msg']}.", code="bad_setting", field=name) from None
