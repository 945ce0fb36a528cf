"""Every setting of Likeness in one table. Only edges read it: app, worker, command line."""

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

WEB, KEPT, DATABASE = ("https://", "http://"), ("file:///", "s3://"), ("postgresql+psycopg://", "postgresql://")
BEGINNINGS = {
    "database_url": DATABASE, "owner_database_url": DATABASE, "rescan_database_url": DATABASE,
    "broker_url": ("amqps://", "amqp://"), "objects_url": KEPT, "counter_url": KEPT,
    "smtp_url": ("smtp://", "smtps://"), "bounces_imap": ("imaps://", "imap://"),
    "public_url": WEB, "keycloak_url": WEB, "vault_url": WEB,
}  # fmt: skip
"""How an address begins that can be used: with another one letters would hold links that nobody can open."""


class SettingsWrong(ValueError):
    """A variable holds what cannot be its value. The message names it, without what it holds, which may be a password."""


class Settings(BaseSettings):
    """Read from the environment as `LIKENESS_<NAME>`; `docs/settings.md` is written from the descriptions here."""

    model_config = SettingsConfigDict(env_prefix="LIKENESS_", extra="ignore")

    profile: Literal["embedded", "production"] = Field(
        "embedded", description="`embedded` starts its own PostgreSQL, broker and Ray; `production` expects servers."
    )
    home: Path = Field(
        Path("/var/lib/likeness") if os.geteuid() == 0 else Path.home() / ".local/share/likeness",
        description="Embedded profile: the folder that holds database, objects and keys, each in a folder of its own.",
    )
    database_url: str = Field("", description="PostgreSQL of the program's own role, `postgresql+psycopg://…`.")
    owner_database_url: str = Field("", description="PostgreSQL of the role that owns the tables; migrations only.")
    rescan_database_url: str = Field(
        "", description="PostgreSQL of the read-only role that verifies erasures, `likeness_rescan`."
    )
    broker_url: str = Field("", description="RabbitMQ, `amqp://…`; empty means the in-process broker.")
    objects_url: str = Field("", description="`file:///folder` or `s3://bucket/prefix` for encrypted objects.")
    objects_plain_http: bool = Field(
        False,
        description="Whether the S3 service in `AWS_ENDPOINT_URL` may be reached over `http://`. Objects are sealed before"
        " they leave, but who listens sees their paths and sizes.",
    )
    objects_timeout: float = Field(
        30.0, description="Seconds that the S3 service may take for one question: a list, whether there is an object, a"
        " deletion. A picture that is read or written may take four times as long.", ge=0.1, le=60,
    )  # fmt: skip
    key_folder: Path | None = Field(None, description="Folder of wrapped keys; never inside a database backup.")
    key_store: Literal["folder", "vault", "aws-kms", "pkcs11"] = Field(
        "folder",
        description="Who wraps the companies' keys: a master key in the key folder, Vault's transit engine, AWS KMS, or a"
        " PKCS#11 token. The wrapped keys are in the key folder whichever it is.",
    )
    vault_url: str = Field("", description="Address of Vault, `https://…`, for `LIKENESS_KEY_STORE=vault`.")
    vault_token_file: Path | None = Field(
        None, description="File with Vault's token, which the Vault agent keeps fresh."
    )
    vault_mount: str = Field("transit", description="Where Vault's transit engine is mounted.")
    kms_key: str = Field(
        "",
        description="Id, ARN or alias of the key for `LIKENESS_KEY_STORE=aws-kms`; region and credentials come from the"
        " usual AWS variables or the machine's role.",
    )
    pkcs11_module: Path | None = Field(
        None, description="The library of the PKCS#11 token for `LIKENESS_KEY_STORE=pkcs11`, a `.so`."
    )
    pkcs11_token: str = Field("", description="Label of the PKCS#11 token.")
    pkcs11_pin_file: Path | None = Field(None, description="File with the user PIN of the PKCS#11 token.")
    signer_folder: Path | None = Field(
        None,
        description="Folder of the key that signs certificates. Only processes that issue them have it: workers with"
        " `LIKENESS_PRIVACY_THREADS` of 1 or more, and no other; empty in the production profile means that this process"
        " signs nothing.",
    )
    marks_credential: Path | None = Field(
        None,
        description="File of a private key (P-256, P-384 or Ed25519) and its certificates in PEM, the signer's first, for"
        " what delivered pictures say of themselves (C2PA). Empty: this installation signs with a certificate of its own,"
        " which nobody outside knows.",
    )
    tombstone_folder: Path | None = Field(
        None, description="Folder of erasure tombstones, kept apart from database and keys; replayed after a restore."
    )
    counter_url: str = Field(
        "",
        description="`file:///folder` or `s3://bucket/prefix` outside everything that is backed up together: it holds each"
        " company's newest checkpoint, so that a start notices when the whole home was put back, the tombstones included."
        " Without it nobody here notices that; whoever holds a later checkpoint still does.",
    )
    backup_days: int | None = Field(
        None,
        ge=0,
        le=3650,
        description="After how many days no backup of the key folder is left. Certificates name it as what the operator"
        " attests; without it they say that nothing was stated.",
    )
    operator: str = Field(
        "",
        max_length=160,
        description="Who runs this installation, name and address in one line, e.g. `Studio GmbH, Hafenstraße 1, 20457"
        " Hamburg`: certificates, receipts, records and `/trust` name it as the processor. Empty: they say “the operator”.",
    )
    public_url: str = Field("", description="The address that people see in links; empty means this machine's own.")
    security_contact: str = Field(
        "",
        description="Where somebody reports a hole, `mailto:security@example.com` or `https://…`, which"
        " `/.well-known/security.txt` names. Empty: there is no such page.",
    )
    host: str = Field("127.0.0.1", description="The address the web server listens on.")
    port: int = Field(8000, description="The port the web server listens on.", ge=1, le=65535)
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of your own proxies, with commas between, e.g. `10.0.0.0/8`; only these are"
        " believed when they say whom they speak for (`X-Forwarded-For`, `X-Forwarded-Proto`).",
    )
    smtp_url: str = Field("", description="`smtp://user:password@host:587`; empty keeps mails in the mailbox page.")
    smtp_timeout: float = Field(
        20.0, description="Seconds that the mail server may take for each line, and half of what it may take for the text.",
        ge=0.1, le=50,
    )  # fmt: skip
    mail_from: str = Field("Likeness <likeness@localhost>", description="The sender of every mail.")
    bounces_address: str = Field(
        "",
        description="A mailbox for mails that come back later, e.g. `bounces@example.com`, whose server also takes mail for"
        " `bounces+anything@example.com`. Each mail leaves under such an envelope sender of its own. Empty: it is that of"
        " `LIKENESS_MAIL_FROM`, and what comes back is read by whoever reads its mail.",
    )
    bounces_imap: str = Field(
        "",
        description="Where that mailbox is read, `imaps://user:password@host:993/INBOX`, twice a minute: why a mail came"
        " back stands beside its person, and the report is deleted. What is no report stays there. Empty: nothing is read.",
    )
    dns_server: str = Field(
        "",
        description="Asked for the sender's SPF, DKIM and DMARC records on the operators' page, as `10.1.0.2` or"
        " `10.1.0.2:5353`; empty asks the machine's own. For networks in which the own one does not know public names.",
    )
    webhook_networks: str = Field(
        "",
        description="Networks of your own that webhooks of companies may go to, and where identity providers may be that"
        " are handed in here, with commas between, e.g. `10.1.0.0/16`; there plain `http://` is allowed as well. Empty:"
        " addresses of the public internet alone.",
    )
    keycloak: Path | None = Field(
        None,
        description="Embedded profile: the folder of a Keycloak 26 that is installed on this machine. `likeness up` starts"
        " it, sets it up and ends it; it listens on this machine alone, at `LIKENESS_KEYCLOAK_URL` or port 8180.",
    )
    keycloak_url: str = Field(
        "",
        description="Keycloak, `https://sso.example.com`, for people who sign in with their company's account; empty for"
        " mailed links alone.",
    )
    keycloak_realm: str = Field("likeness", description="The realm that `likeness keycloak setup` made.")
    keycloak_client: str = Field("likeness", description="The client of the web server in that realm.")
    keycloak_secret: str = Field("", description="The secret of that client, as `likeness keycloak setup` wrote it.")
    keycloak_setup_secret: str = Field(
        "",
        description="The second secret of `likeness keycloak setup`, which makes organizations in the realm. The commands"
        " need it; the web server only where operators and owners give companies their sign-in in the browser.",
    )
    ray_address: str = Field("", description="Address of the Ray cluster; empty starts a local one.")
    studios: int = Field(
        8, description="Sittings' orders that may run on the cluster at once, each on one GPU.", ge=1, le=1024
    )
    gpu_share: float = Field(
        1.0,
        description="The part of a GPU that a studio takes. With 0.5, where the memory of one holds the base twice, the"
        " next company's studio loads beside the one that works.",
        gt=0,
        le=1,
    )
    darkrooms: int = Field(
        1,
        description="Orders of studio portraits that may run at once, each on one processor without a GPU.",
        ge=1,
        le=64,
    )
    recipe: str = Field(
        "cutout",
        description="The base that models of people are trained on; `cutout` where there is none: then everybody gets"
        " studio portraits of their own photos.",
    )
    accepted_licences: str = Field(
        "", description="Comma-separated model licences that the operator has read and accepted, e.g. `OpenRAIL++`."
    )
    weights: str = Field(
        "",
        description="The weights that may be loaded, as `likeness weights pin` prints them: 64 hexadecimal digits, two of"
        " them with a comma between where pictures are drawn by a second base. Nodes of the cluster compare what they hold"
        " with it, refuse everything else and download nothing. Empty: each compares with what was fixed on it, if"
        " anything was.",
    )
    privacy_threads: int = Field(
        1, description="Threads of one worker for erasures; 0 leaves them to other workers.", ge=0, le=64
    )
    photo_threads: int = Field(
        2, description="Threads of one worker for looking at photos; each needs about 512 MB.", ge=0, le=64
    )
    mail_threads: int = Field(1, description="Threads of one worker that talk to the mail server.", ge=0, le=64)
    webhook_threads: int = Field(
        1, description="Threads of one worker that send webhooks to servers of companies.", ge=0, le=64
    )
    general_threads: int = Field(1, description="Threads of one worker for everything else.", ge=0, le=64)
    liveness_file: Path | None = Field(
        None,
        description="File that `likeness worker` or `likeness scheduler` renews every second while all of its threads get"
        " on, for whatever restarts one that hangs. Each process needs one of its own. Empty: none.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged.")

    @model_validator(mode="after")
    def _own_address(self) -> Settings:
        self.public_url = self.public_url.rstrip("/") or f"http://{_openable(self.host)}:{self.port}"
        return self

    @field_validator(*BEGINNINGS)
    @classmethod
    def _addresses(cls, written: str, about: ValidationInfo) -> str:
        begins = BEGINNINGS[str(about.field_name)]
        if written and not any(written.startswith(one) and written != one for one in begins):
            raise ValueError(f"this is no address that can be used. It begins with {' or '.join(begins)}, and goes on.")
        try:
            urlsplit(written).port  # noqa: B018 - read for what it raises
        except ValueError:
            raise ValueError(
                "what stands where the port belongs is no port. In a password, / is written %2F, # %23, ? %3F, @ %40 and"
                " % %25."
            ) from None
        return written

    @field_validator("trusted_proxies", "webhook_networks")
    @classmethod
    def _networks(cls, written: str) -> str:
        for one in _listed(written):
            try:
                ip_network(one)
            except ValueError:
                raise ValueError(
                    f"{one!r} is no address and no network. Write 10.1.2.3 or 10.0.0.0/8, with commas between."
                ) from None
        return written

    @field_validator("security_contact")
    @classmethod
    def _contact(cls, written: str) -> str:
        if written and not re.fullmatch(r"(mailto:[^@\s]+@[^@\s]+|https://[^\s/]\S*)", written):
            raise ValueError(f"{written!r} is no contact. Write mailto:security@example.com or https://…")
        return written

    @field_validator("weights")
    @classmethod
    def _digests(cls, written: str) -> str:
        for one in _listed(written):
            if not re.fullmatch(r"[0-9a-f]{64}", one):
                raise ValueError(f"{one!r} is no SHA-256. Write what `likeness weights pin` prints.")
        return written

    @property
    def proxies(self) -> list[str]:
        return _listed(self.trusted_proxies)

    @property
    def hooks_inside(self) -> list[str]:
        return _listed(self.webhook_networks)

    @property
    def licences(self) -> frozenset[str]:
        return frozenset(_listed(self.accepted_licences))

    @property
    def fixed_weights(self) -> list[str]:
        return _listed(self.weights)

    @property
    def embedded(self) -> bool:
        return self.profile == "embedded"

    def objects_address(self) -> str:
        return self.objects_url or (self.home / "objects").resolve().as_uri()

    def keys_path(self) -> Path:
        return self.key_folder or self.home / "keys"

    def signer_path(self) -> Path | None:
        """None where this process signs nothing."""
        return self.signer_folder or (self.home / "signer" if self.embedded else None)

    def tombstones_path(self) -> Path:
        return self.tombstone_folder or self.home / "tombstones"


def from_environment() -> Settings:
    """Raises `SettingsWrong`."""
    try:
        return Settings()
    except ValidationError as error:
        told = [f"{_variable(one['loc'])}: {one['msg'].removeprefix('Value error, ')}." for one in error.errors()]
        raise SettingsWrong(
            " ".join(told).replace("..", ".") + " docs/settings.md says what each setting takes."
        ) from None


def of_one_machine() -> Settings:
    """For what starts a database of its own and would pass over another one without a word. Raises `SettingsWrong`."""
    settings = from_environment()
    for name in ("LIKENESS_PROFILE",) * (not settings.embedded) + ("LIKENESS_DATABASE_URL",) * bool(settings.database_url):
        raise SettingsWrong(
            f"{name} is for servers of your own, and this starts a database of its own. Start `likeness web`, `likeness"
            f" worker` and `likeness scheduler`, or take {name} out of the environment."
        )
    return settings


class _Alone(Settings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *others: object,
        **named: object,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def alone(home: Path, *, database_url: str, rescan_database_url: str = "") -> Settings:
    """Of an embedded site that stands for itself, such as a drill's: everything of it is in its home, and nothing of the
    environment is read, because on a machine that serves people that names their database, objects and keys.
    """
    return _Alone(profile="embedded", home=home, database_url=database_url, rescan_database_url=rescan_database_url)


def _variable(place: tuple[int | str, ...]) -> str:
    return f"LIKENESS_{str(place[0]).upper()}" if place else "The settings"


def _openable(host: str) -> str:
    """An address that a browser on this machine can open, for what the server listens on."""
    # These two mean "every address of this machine", and are none themselves.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


def _listed(written: str) -> list[str]:
    return [one.strip() for one in written.split(",") if one.strip()]
