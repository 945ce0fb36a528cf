"""Which key store the settings name. A further one is a file in `stores`, a value of the setting, a case here."""

from __future__ import annotations

from likeness.ground.settings import Settings, SettingsWrong
from likeness.keys.custody import KeyStore
from likeness.keys.master import MasterFolder
from likeness.keys.stores.aws_kms import AwsKms
from likeness.keys.stores.token import Token
from likeness.keys.stores.vault import Vault


def chosen(settings: Settings) -> KeyStore:
    """Nothing is asked of the provider here. Raises `SettingsWrong` where a setting is missing."""
    match settings.key_store:
        case "folder":
            return MasterFolder(settings.keys_path())
        case "vault":
            _needs(settings, "vault_url", "vault_token_file")
            assert settings.vault_token_file is not None
            return Vault(settings.vault_url, settings.vault_token_file, settings.vault_mount)
        case "aws-kms":
            _needs(settings, "kms_key")
            return AwsKms(settings.kms_key)
        case "pkcs11":
            _needs(settings, "pkcs11_module", "pkcs11_token", "pkcs11_pin_file")
            assert settings.pkcs11_module is not None
            assert settings.pkcs11_pin_file is not None
            return Token(settings.pkcs11_module, settings.pkcs11_token, settings.pkcs11_pin_file)


def _needs(settings: Settings, *names: str) -> None:
    missing = [f"LIKENESS_{name.upper()}" for name in names if not getattr(settings, name)]
    if missing:
        raise SettingsWrong(f"LIKENESS_KEY_STORE={settings.key_store} needs {' and '.join(missing)}.")
