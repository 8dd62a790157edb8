#!/usr/bin/env node
// A job in JavaScript for Node: parameters from one descriptor, reports to another.
"use strict";
const fs = require("fs");

const { params } = JSON.parse(fs.readFileSync(Number(process.env.ANYJOB_PARAMS_FD), "utf8"));
const report = (line) => fs.writeSync(Number(process.env.ANYJOB_FD), JSON.stringify(line) + "\n");

const { count, label = "no label" } = params;
report({ log: { level: "info", tag: "copy", message: `copying ${count} tables` } });
for (let step = 1; step <= count; step++) {
  const percent = Math.floor((100 * step) / count);
  report({ progress: { percent, stage: "copy", message: `table ${step}: ${label}` } });
}
report({ metrics: { tables: count } });
report({ data: { label } });
report({ result: `${count} tables` });
report({ success: "all copied" });
