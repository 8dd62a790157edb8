-- Moves a queued job to its dispatcher.
-- Uses  move
-- KEYS  1 to 10 as in move.lua, 11 the dispatcher's work
-- ARGV  1 epoch, 2 job, 3 run, 4 operation, 5 dispatcher, 6 note, 7 channel
-- Returns 1, or 0 when it was not queued any more (1 again for the operation that moved it).
-- Errors STALE when a newer controller has taken over; WRONGTYPE when a key is not ours.
local refused = check(ARGV[1])
if refused then
  return refused
end
local was = redis.call('HMGET', KEYS[2], 'state', 'op', 'attempt', 'base_out', 'base_err')
if was[2] == ARGV[4] then
  return 1
end
if was[1] ~= 'queued' then
  return 0
end
move({job = ARGV[2], run = ARGV[3], from = 'queued', to = 'dispatching', ended = '', note = ARGV[6],
  channel = ARGV[7], fields = {'op', ARGV[4], 'dispatcher', ARGV[5]}})
redis.call('XADD', KEYS[11], '*', 'kind', 'start', 'job', ARGV[2], 'attempt', was[3], 'base_out', was[4] or 0,
  'base_err', was[5] or 0)
return 1
