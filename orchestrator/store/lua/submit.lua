-- Keeps a run, its jobs and its inputs in one step.
-- KEYS  1 run, 2 jobs, 3 inputs, 4 runs, 5 ends, 6 active, 7 live, 8 sequence, 9 control, 10 totals, 11.. one per job
-- ARGV  1 run id, 2 run id backwards, 3 operation, 4 created, 5 spec, 6 inputs, 7.. per job: id, node, index, spec
-- Returns 1, or 0 when the run was there already (1 again for the operation that made it).
-- Errors WRONGTYPE when a key is not ours; nothing is changed then.
local known = redis.call('HGET', KEYS[1], 'op')
if known then
  return known == ARGV[3] and 1 or 0
end
local types = {[4] = 'zset', [5] = 'zset', [6] = 'zset', [7] = 'zset', [8] = 'string', [9] = 'stream', [10] = 'hash'}
for index, key in ipairs(KEYS) do
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= types[index] then
    return redis.error_reply('WRONGTYPE ' .. key .. ' holds a ' .. found .. ' that is not ours')
  end
end
local total = #KEYS - 10
local last = redis.call('INCRBY', KEYS[8], total)
redis.call('HSET', KEYS[1], 'op', ARGV[3], 'spec', ARGV[5], 'left', total, 'n:queued', total)
if ARGV[6] ~= '' then
  redis.call('SET', KEYS[3], ARGV[6])
end
for index = 1, total do
  local at = 3 + 4 * index
  local id, node, place, spec = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  redis.call('HSET', KEYS[10 + index], 'spec', spec, 'node', node, 'index', place, 'state', 'queued',
    'created', ARGV[4], 'attempt', 1)
  redis.call('RPUSH', KEYS[2], id)
  redis.call('ZADD', KEYS[7], last - total + index, id)
end
redis.call('ZADD', KEYS[4], 0, ARGV[1])
redis.call('ZADD', KEYS[5], 0, ARGV[2])
redis.call('ZADD', KEYS[6], 0, ARGV[1])
redis.call('HINCRBY', KEYS[10], 'queued', total)
redis.call('XADD', KEYS[9], '*', 'kind', 'submitted', 'run', ARGV[1])
return 1
