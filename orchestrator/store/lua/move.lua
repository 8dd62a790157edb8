-- Library: moves one job to another state, with everything that hangs on it.
-- KEYS  1 epoch, 2 job, 3 run, 4 events, 5 live, 6 active, 7 control, 8 unarchived, 9 done, 10 totals
-- Callers have checked that the move is allowed. `check` comes first: after it no command below can fail half-way.

local function check_types()
  local types = {'string', 'hash', 'hash', 'stream', 'zset', 'zset', 'stream', 'zset', 'zset', 'hash'}
  for index, wanted in ipairs(types) do
    local found = redis.call('TYPE', KEYS[index]).ok
    if found ~= 'none' and found ~= wanted then
      return redis.error_reply('WRONGTYPE ' .. KEYS[index] .. ' holds a ' .. found .. ' that is not ours')
    end
  end
end

local function check(epoch)
  local wrong = check_types()
  local known = not wrong and tonumber(redis.call('GET', KEYS[1]) or '0')
  if known and tonumber(epoch) < known then
    wrong = redis.error_reply('STALE epoch ' .. epoch .. ', the store has seen ' .. string.format('%.0f', known))
  end
  return wrong
end

-- Progress (JSON, if any) as a whole number, so that a run's sum is exact; it counts while its attempt lasts.
local function hundredths(progress)
  return math.floor((tonumber(progress or '') or 0) * 100 + 0.5)
end

local function drop_progress()
  local told = redis.call('HGET', KEYS[2], 'progress')
  if told then
    redis.call('HINCRBY', KEYS[3], 'progress', 0 - hundredths(told))
  end
end

-- how: job, run, from, to, ended (Unix time, '' = goes on), note (JSON of the event), channel, fields (list)
local function move(how)
  redis.call('HSET', KEYS[2], 'state', how.to) -- the first write takes memory: a full Redis refuses it
  redis.call('HDEL', KEYS[2], 'reason', 'message', 'retry_at') -- of the state before
  redis.call('HSET', KEYS[2], unpack(how.fields))
  redis.call('HINCRBY', KEYS[3], 'n:' .. how.from, -1)
  redis.call('HINCRBY', KEYS[3], 'n:' .. how.to, 1)
  redis.call('HINCRBY', KEYS[10], how.from, -1)
  redis.call('HINCRBY', KEYS[10], how.to, 1)
  local node = redis.call('HGET', KEYS[2], 'node')
  if how.ended ~= '' then
    drop_progress()
    redis.call('ZREM', KEYS[5], how.job)
    redis.call('ZADD', KEYS[8], how.ended, how.job)
    local kind = (how.from == 'queued' and how.to == 'cancelled') and 'cancelled' or 'ended'
    redis.call('XADD', KEYS[7], '*', 'kind', kind, 'run', how.run, 'job', how.job, 'node', node)
    if redis.call('HINCRBY', KEYS[3], 'left', -1) == 0 then
      redis.call('HSET', KEYS[3], 'ended', how.ended)
      redis.call('ZREM', KEYS[6], how.run)
      redis.call('ZADD', KEYS[9], how.ended, how.run)
    end
  end
  redis.call('XADD', KEYS[4], '*', 'note', how.note, 'node', node)
  redis.call('PUBLISH', how.channel, 'e')
end
