"""What it takes to run the scripts of `live/` inside of the published clients' environments."""

from pathlib import Path

from process import plain_environment

HERE = Path(__file__).parent / "live"

# One check takes seconds; a client that waits for ever is a fault.
CHECK_MAX_S = 150


def device(api, sid: str) -> int:
    return api("GET", f"live/{api.server.oid}/devices/{sid}")["device_id"]


def variables_of(server, folder: Path) -> dict[str, str]:
    names = ("CBLR_URL", "CBLR_TOKEN", "SSL_CERT_FILE", "LC_OID")
    return plain_environment(folder / "home") | {name: server.environment[name] for name in names} | {"FOLDER": str(folder)}
