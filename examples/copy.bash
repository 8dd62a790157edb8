#!/bin/bash
# The same in bash, by hand: no helper, only a line of JSON on the descriptor. This is all there is to the protocol.
set -euo pipefail
count=$ANYJOB_PARAM_COUNT label=$ANYJOB_PARAM_LABEL

quoted() { # a JSON text; enough for texts without control characters other than line ends and tabs
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//$'\n'/\\n}
    printf '"%s"' "${text//$'\t'/\\t}"
}
report() { printf '%s\n' "$1" >&"$ANYJOB_FD"; }

report '{"log":{"level":"info","tag":"copy","message":'"$(quoted "copying $count tables")"'}}'
for ((step = 1; step <= count; step++)); do
    message=$(quoted "table $step: $label")
    report '{"progress":{"percent":'$((100 * step / count))',"stage":"copy","message":'"$message"'}}'
done
report '{"metrics":{"tables":'"$count"'}}'
report '{"data":{"label":'"$(quoted "$label")"'}}'
report '{"result":'"$(quoted "$count tables")"'}'
report '{"success":"all copied"}'
