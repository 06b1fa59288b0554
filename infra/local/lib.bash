# What up, down and prove-roles share. Works with the bash 3.2 of macOS.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
state=${SPOOLWAY_LOCAL_STATE:-$here/.state}
# a virtual environment that is there already, made of requirements.txt, or one that is made
venv=${SPOOLWAY_LOCAL_VENV:-$state/venv}
region=us-east-1

say() { printf '%s\n' "$*" >&2; }
step() { printf '· %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }
misused() { printf '%s: %s; see --help\n' "$(basename "$0")" "$*" >&2; exit 64; }

# Whether process $1 runs and has $2 in its command line. A number alone may by now be somebody else's.
runs() {
  [ -n "${1-}" ] && kill -0 "$1" 2>/dev/null || return 1
  if [ -r "/proc/$1/cmdline" ]; then tr '\0' ' ' <"/proc/$1/cmdline"; else ps -o command= -p "$1"; fi 2>/dev/null | grep -q -- "$2"
}

# Ends the process whose number is in file $1 and whose command line has $2: politely, then not.
end() {
  local file=$1 word=$2 pid tries
  [ -f "$file" ] || return 0
  pid=$(cat "$file")
  if runs "$pid" "$word"; then
    kill "$pid"
    for ((tries = 0; tries < 350; tries++)); do runs "$pid" "$word" || break; sleep 0.1; done
    if runs "$pid" "$word"; then kill -9 "$pid"; fi
  fi
  rm -f "$file"
}

# A python3 that the pinned packages are made for.
find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      printf '%s' "$candidate"
      return
    fi
  done
  die "Python 3.11, 3.12 or 3.13 is needed, as python3 or named by PYTHON: install it"
}

# Makes the virtual environment, once for each content of requirements.txt, and puts it in front of PATH.
tools() {
  local python wanted
  wanted=$(cksum <"$here/requirements.txt")
  if [ -z "${SPOOLWAY_LOCAL_VENV-}" ] && [ "$(cat "$venv/made-from" 2>/dev/null)" != "$wanted" ]; then
    python=$(find_python)
    step "installing the emulator and the tools of AWS into $venv"
    rm -rf "$venv"
    mkdir -p "$state"
    "$python" -m venv "$venv" || die "$python cannot make a virtual environment: install its venv module (Debian: python3-venv)"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: \
      -r "$here/requirements.txt" || die "the packages of infra/local/requirements.txt could not be installed"
    printf '%s' "$wanted" >"$venv/made-from"
  fi
  PATH=$venv/bin:$PATH
}

# The command line of AWS, bound to the endpoint: without --endpoint-url it asks AWS itself for SQS.
aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }

# From here on everything that speaks to AWS speaks to $1, as the root user that emulators know.
use_endpoint() {
  unset AWS_PROFILE AWS_SESSION_TOKEN AWS_DEFAULT_PROFILE
  export AWS_ENDPOINT_URL=$1 AWS_REGION=$region AWS_DEFAULT_REGION=$region AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
  export AWS_PAGER='' AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
}

# Whether an emulator answers at $1.
answers() {
  "$venv/bin/python" - "$1" <<'PYTHON'
import sys, urllib.request
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1] + "/_localstack/health", timeout=2).read()
except OSError:
    sys.exit(1)
PYTHON
}

# Waits until `$@` is true, $1 tenths of a second at most.
await() {
  local tenths=$1
  shift
  for (( ; tenths > 0; tenths--)); do
    if "$@"; then return 0; fi
    sleep 0.1
  done
  return 1
}

# Starts an emulator at port $1 with its files in $2. It holds callers to their roles, and gives functions its own address.
# It gets a clean environment, since functions inherit it.
start_emulator() {
  local port=$1 folder=$2
  mkdir -p "$folder/tmp"
  env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$folder" TMPDIR="$folder/tmp" LANG=C.UTF-8 \
    GATEWAY_PORT="$port" BIND_HOST=127.0.0.1 MINISTACK_HOST=127.0.0.1 AWS_ENDPOINT_URL="http://127.0.0.1:$port" \
    MINISTACK_REGION=$region AUTH=true nohup "$venv/bin/ministack" </dev/null >"$folder/log" 2>&1 &
  printf '%s' $! >"$folder/pid"
  printf '%s' "$port" >"$folder/port"
  await 300 answers_or_gone "http://127.0.0.1:$port" "$folder/pid" || true
  if ! runs "$(cat "$folder/pid")" ministack || ! answers "http://127.0.0.1:$port"; then
    tail -n 20 "$folder/log" >&2
    die "the emulator does not answer at port $port; see $folder/log"
  fi
}
answers_or_gone() { answers "$1" || ! kill -0 "$(cat "$2")" 2>/dev/null; }

# What the stack $1 says of $2.
output() {
  aws cloudformation describe-stacks --stack-name "$1" --output text --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue"
}

# Deploys template $2 as stack $1 with the parameters that follow; on failure, tells what failed. The template goes by way of the bucket
# for code, which is there by then: alone, it may have 51,200 bytes.
deploy() {
  local stack=$1 template=$2
  shift 2
  if ! aws cloudformation deploy --stack-name "$stack" --template-file "$template" --s3-bucket spoolway-code --no-fail-on-empty-changeset \
    --capabilities CAPABILITY_IAM --parameter-overrides "$@" >"$state/deploy.log" 2>&1; then
    cat "$state/deploy.log" >&2
    aws cloudformation describe-stack-events --stack-name "$stack" --output text \
      --query 'StackEvents[?contains(ResourceStatus, `FAILED`)].[LogicalResourceId,ResourceStatusReason]' >&2 || true
    die "the stack $stack could not be deployed; where it never was, run down before up"
  fi
  rm -f "$state/deploy.log"
}

# Puts the archive $1 into the bucket for code, and prints its key, which is made of its content.
put_code() {
  local key
  key=$("$venv/bin/python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest()[:20])' "$1").zip
  aws s3api head-bucket --bucket spoolway-code >/dev/null 2>&1 || aws s3api create-bucket --bucket spoolway-code >/dev/null
  aws s3api put-object --bucket spoolway-code --key "$key" --body "$1" >/dev/null
  printf '%s' "$key"
}
