#!/bin/sh
# A job in shell: `anyjob-report` is on the PATH of every job.
set -eu
count=$(anyjob-report param count)
label=$(anyjob-report param label "no label")

anyjob-report log info "copying $count tables" copy
step=0
while [ "$step" -lt "$count" ]; do
    step=$((step + 1))
    anyjob-report progress $((100 * step / count)) "table $step: $label" copy
done
anyjob-report metric tables="$count"
anyjob-report data label="$label"
anyjob-report result "$count tables"
anyjob-report success "all copied"
