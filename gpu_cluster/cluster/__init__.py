"""Sittings claimed, sent to Ray and taken back."""

import os
import secrets

# Ray reads these when it is imported, which every file in here may do. A cluster without them lets anybody on the network
# run code.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Ray prints on the terminal that a studio ended, also when it was ended on purpose. What a death means is said by the page.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
if not os.environ.get("RAY_AUTH_TOKEN") and not os.environ.get("RAY_AUTH_TOKEN_PATH"):
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
