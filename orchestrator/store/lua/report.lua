-- Takes in what a job said between two offsets of its report channel, exactly once.
-- Uses  move
-- KEYS  1 to 10 as in move.lua
-- ARGV  1 epoch, 2 job, 3 attempt, 4 start, 5 end, 6 channel, 7 most bytes of notes that an attempt may tell,
--       8 the note that says so, 9 progress note ('' = none), 10 number of other notes, then these, then columns and
--       values
-- Returns the offset where the attempt's reports stand; the end when the job has ended or is on another attempt.
-- Errors STALE when a newer controller has taken over; WRONGTYPE when a key is not ours.
local refused = check(ARGV[1])
if refused then
  return refused
end
local was = redis.call('HMGET', KEYS[2], 'attempt', 'report_bytes', 'node', 'noted', 'told', 'progress')
if was[1] ~= ARGV[3] or not redis.call('ZSCORE', KEYS[5], ARGV[2]) then
  return tonumber(ARGV[5])
end
local held = tonumber(was[2] or '0')
if tonumber(ARGV[4]) ~= held or tonumber(ARGV[5]) <= held then
  return held
end
local function tell(note)
  return redis.call('XADD', KEYS[4], '*', 'note', note, 'node', was[3])
end
local noted, most, last = tonumber(was[4] or '0'), tonumber(ARGV[7]), 10 + tonumber(ARGV[10])
for index = 11, last do
  if noted <= most then -- beyond it the one before has said that there will be no more
    noted = noted + #ARGV[index]
    tell(noted <= most and ARGV[index] or ARGV[8])
  end
end
local fields = {'report_bytes', ARGV[5], 'noted', noted}
if ARGV[9] ~= '' then
  fields[5], fields[6] = 'told', tell(ARGV[9])
  if was[5] then
    redis.call('XDEL', KEYS[4], was[5])
  end
end
for index = last + 1, #ARGV, 2 do
  if ARGV[index] == 'progress' then
    redis.call('HINCRBY', KEYS[3], 'progress', hundredths(ARGV[index + 1]) - hundredths(was[6]))
  end
  fields[#fields + 1] = ARGV[index]
  fields[#fields + 1] = ARGV[index + 1]
end
redis.call('HSET', KEYS[2], unpack(fields))
redis.call('PUBLISH', ARGV[6], 'e')
return tonumber(ARGV[5])
