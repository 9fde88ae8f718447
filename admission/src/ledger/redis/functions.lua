#!lua name=einlass_2

-- The ledger's registers and sums. What is decided with them is decided elsewhere; here is only
-- what has to happen at once, for several gateways. It does what `Registers` does, call by call.
--
-- All keys of a room begin alike and share one hash tag. KEYS[1] is the one of the registers. All but
-- those of the used tickets are named, so that a cluster that is moving them lets no call see a part:
--   :r    hash    epoch, born, heard, version, serving, cap, notice, fence, pacer, until
--   :m    hash    gateway -> "held until in_flight buffered down"
--   :t    hash    gateway -> the slots the pacer wants it to have
--   :l    hash    school -> the tooth given last
--   :v    zset    school, by the version in which that changed
--   :e    list    what happened, for the pacer
--   :c:G  set     tickets that gateway G has let in and is not done with
--   :u:…  string  used tickets: one bit each, 1024 to a page
--
-- Watermarks are 20 decimal digits, so that the order of the texts is that of the numbers; a Lua
-- number would round them.

local DAYS = 7 * 24 * 3600

-- The epoch in which this process has seen a room. A process that has just started knows none, and
-- what it has read from a disk, or from a master that is gone, may be less than was promised.
local awake = {}

local function room(key)
  return string.sub(key, 1, -3)
end

local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function forget(p, member)
  local claims = p .. ':c:' .. member
  for _, ticket in ipairs(redis.call('SMEMBERS', claims)) do
    local page, bit = string.match(ticket, '^(%S+) (%d+)$')
    redis.call('SETBIT', p .. ':u:' .. page, bit, 0)
  end
  redis.call('DEL', claims)
end

local function wake(p, now, nonce, seen_epoch, seen_version)
  local r = redis.call('HMGET', p .. ':r', 'epoch', 'version', 'born')
  local epoch, version = tonumber(r[1]) or 0, tonumber(r[2]) or 0
  local back = epoch == seen_epoch and seen_version > version
  if epoch ~= 0 and awake[p] == epoch and not back then
    return epoch, version, tonumber(r[3])
  end
  epoch, version = nonce, math.max(version, seen_version) + 1
  redis.call('HSET', p .. ':r', 'epoch', epoch, 'version', version, 'born', now)
  redis.call('HDEL', p .. ':r', 'pacer', 'until')
  for _, member in ipairs(redis.call('HKEYS', p .. ':m')) do
    forget(p, member)
  end
  redis.call('DEL', p .. ':m', p .. ':e')
  awake[p] = epoch
  return epoch, version, now
end

-- Reads ARGV from the given place: first a count, then so many groups.
local function list(args, at, width)
  local count = tonumber(args[at])
  return at + 1, count, at + 1 + count * width
end

local function learn(p, args, at, version)
  local first, count, after = list(args, at, 2)
  if count == 0 then
    return after, version
  end
  version = version + 1
  for i = 0, count - 1 do
    local school, tooth = args[first + 2 * i], tonumber(args[first + 2 * i + 1])
    local known = tonumber(redis.call('HGET', p .. ':l', school)) or 0
    if known < tooth then
      redis.call('HSET', p .. ':l', school, tooth)
      redis.call('ZADD', p .. ':v', version, school)
    end
  end
  redis.call('HSET', p .. ':r', 'version', version)
  return after, version
end

local function enter(p, page, bit, lifetime)
  local key = p .. ':u:' .. page
  local before = redis.call('SETBIT', key, bit, 1)
  redis.call('EXPIRE', key, lifetime)
  return before == 0
end

-- Whether one of these gateways has claimed the ticket and not said yet what became of it.
local function is_claimed(p, gateways, ticket)
  for _, id in ipairs(gateways) do
    if redis.call('SISMEMBER', p .. ':c:' .. id, ticket) == 1 then
      return true
    end
  end
  return false
end

-- Tickets that a gateway gives back, and those whose login is done with.
local function done_with(p, claims, args, at, lifetime)
  local first, count
  first, count, at = list(args, at, 2)
  for i = first, first + 2 * count - 1, 2 do -- released
    if redis.call('SREM', claims, args[i] .. ' ' .. args[i + 1]) == 1 then
      redis.call('SETBIT', p .. ':u:' .. args[i], args[i + 1], 0)
    end
  end
  first, count, at = list(args, at, 2)
  for i = first, first + 2 * count - 1, 2 do -- sent
    redis.call('SREM', claims, args[i] .. ' ' .. args[i + 1])
    enter(p, args[i], args[i + 1], lifetime)
  end
  return at
end

local function note(p, events, most_events)
  if events ~= '' then
    redis.call('RPUSH', p .. ':e', events)
    redis.call('LTRIM', p .. ':e', -most_events, -1)
  end
end

local function exchange(keys, args)
  local p, now = room(keys[1]), clock()
  local me, nonce = args[1], tonumber(args[2])
  local seen_epoch, seen_version = tonumber(args[3]), tonumber(args[4])
  local serving, share = args[5], tonumber(args[6])
  local in_flight, buffered, down = tonumber(args[7]), args[8], args[9]
  local events, lifetime = args[10], tonumber(args[11])
  local most_events, lease, pacer_lease = tonumber(args[12]), tonumber(args[13]), tonumber(args[14])
  local silence, recovery = tonumber(args[15]), tonumber(args[16])
  local epoch, version, born = wake(p, now, nonce, seen_epoch, seen_version)

  local r =
    redis.call('HMGET', p .. ':r', 'serving', 'cap', 'notice', 'fence', 'pacer', 'until', 'heard')
  local heard = tonumber(r[7]) or 0
  if now > heard + silence or now < heard then
    -- Nobody could reach the ledger. They go on with the shares they have: nothing is given to one
    -- of them before all the others had the time to say. A clock that was set back says nothing
    -- about how long it was.
    born = now
  end
  redis.call('HSET', p .. ':r', 'heard', now, 'born', born)
  local recovering = now < born + recovery
  if r[1] and r[1] > serving then
    serving = r[1]
  elseif r[1] ~= serving then
    redis.call('HSET', p .. ':r', 'serving', serving)
  end
  local cap = tonumber(r[2]) or 0

  local others, members, other_ids = 0, {}, {}
  local rows = redis.call('HGETALL', p .. ':m')
  for i = 1, #rows, 2 do
    local held, till, report = string.match(rows[i + 1], '^(%d+) (%d+) (.*)$')
    if tonumber(till) > now + lease then -- by a clock that was set back since
      till = now + lease
      redis.call('HSET', p .. ':m', rows[i], held .. ' ' .. till .. ' ' .. report)
    end
    if tonumber(till) < now then
      redis.call('HDEL', p .. ':m', rows[i])
      forget(p, rows[i])
    elseif rows[i] ~= me then
      others = others + tonumber(held)
      other_ids[#other_ids + 1] = rows[i]
      members[#members + 1] = rows[i] .. ' ' .. held .. ' ' .. report
    end
  end
  local had = share
  if not recovering then
    local target = tonumber(redis.call('HGET', p .. ':t', me)) or 0
    share = math.max(0, math.min(target, cap - others))
  end
  local held = math.max(share, had, in_flight)
  local report = in_flight .. ' ' .. buffered .. ' ' .. down
  redis.call('HSET', p .. ':m', me, held .. ' ' .. (now + lease) .. ' ' .. report)
  members[#members + 1] = me .. ' ' .. held .. ' ' .. report

  local at
  at, version = learn(p, args, 17, version)
  local claims = p .. ':c:' .. me
  at = done_with(p, claims, args, at, lifetime)
  local first, count
  first, count, at = list(args, at, 2)
  for i = first, first + 2 * count - 1, 2 do -- kept
    if enter(p, args[i], args[i + 1], lifetime) then
      redis.call('SADD', claims, args[i] .. ' ' .. args[i + 1])
    end
  end
  local refused = {}
  first, count, at = list(args, at, 2)
  if not recovering then
    for i = 0, count - 1 do -- claimed
      local page, bit = args[first + 2 * i], args[first + 2 * i + 1]
      if enter(p, page, bit, lifetime) then
        redis.call('SADD', claims, page .. ' ' .. bit)
      elseif redis.call('SISMEMBER', claims, page .. ' ' .. bit) == 0 then
        -- Undecided as long as another gateway may still give it back: counted from below zero.
        refused[#refused + 1] = is_claimed(p, other_ids, page .. ' ' .. bit) and -1 - i or i
      end
    end
  end
  redis.call('EXPIRE', claims, lifetime)

  note(p, events, most_events)

  local known = epoch == seen_epoch and seen_version or 0
  local last = {}
  local changed = redis.call('ZRANGEBYSCORE', p .. ':v', '(' .. known, '+inf')
  for from = 1, #changed, 1000 do
    local upto = math.min(from + 999, #changed)
    local teeth = redis.call('HMGET', p .. ':l', unpack(changed, from, upto))
    for i = from, upto do
      last[#last + 1] = changed[i]
      last[#last + 1] = tonumber(teeth[i - from + 1])
    end
  end

  local fence, happened = 0, {}
  local pacer, till = r[5], tonumber(r[6]) or 0
  if pacer == me or not pacer or till < now or till > now + pacer_lease then
    fence = tonumber(r[4]) or 0
    if pacer ~= me then
      fence = fence + 1
    end
    redis.call('HSET', p .. ':r', 'fence', fence, 'pacer', me, 'until', now + pacer_lease)
    happened = redis.call('LRANGE', p .. ':e', 0, -1)
    redis.call('DEL', p .. ':e')
  else
    members = {}
  end
  return {
    now, epoch, version, recovering and 1 or 0, share, serving, cap, r[3] or '',
    last, refused, fence, members, happened,
  }
end

local function join(keys, args)
  local p = room(keys[1])
  local epoch, version =
    wake(p, clock(), tonumber(args[1]), tonumber(args[2]), tonumber(args[3]))
  version = version + 1
  redis.call('HSET', p .. ':r', 'version', version)
  local upto = {}
  local first, count = list(args, 4, 3)
  for i = first, first + 3 * count - 1, 3 do
    local known = tonumber(redis.call('HGET', p .. ':l', args[i])) or 0
    local tooth = math.max(known, tonumber(args[i + 1])) + tonumber(args[i + 2])
    redis.call('HSET', p .. ':l', args[i], tooth)
    redis.call('ZADD', p .. ':v', version, args[i])
    upto[#upto + 1] = tooth
  end
  return { epoch, upto }
end

local function publish(keys, args)
  local p = room(keys[1])
  local r = redis.call('HMGET', p .. ':r', 'epoch', 'fence', 'pacer', 'serving')
  if tonumber(r[1]) ~= awake[p] or r[1] ~= args[2] or r[2] ~= args[3] or r[3] ~= args[1] then
    return 0
  end
  local serving = args[4]
  if r[4] and r[4] > serving then
    serving = r[4]
  end
  redis.call('HSET', p .. ':r', 'serving', serving, 'cap', args[5], 'notice', args[6])
  redis.call('DEL', p .. ':t')
  local first, count = list(args, 7, 2)
  for i = first, first + 2 * count - 1, 2 do
    redis.call('HSET', p .. ':t', args[i], args[i + 1])
  end
  for _, key in ipairs({ ':r', ':m', ':t', ':l', ':v', ':e' }) do
    redis.call('EXPIRE', p .. key, DAYS)
  end
  return 1
end

local function leave(keys, args)
  local p, me = room(keys[1]), args[1]
  done_with(p, p .. ':c:' .. me, args, 5, tonumber(args[3]))
  forget(p, me)
  redis.call('HDEL', p .. ':m', me)
  redis.call('HDEL', p .. ':t', me)
  if redis.call('HGET', p .. ':r', 'pacer') == me then
    redis.call('HDEL', p .. ':r', 'pacer', 'until')
  end
  note(p, args[2], tonumber(args[4]))
  return 1
end

local function merge(keys, args)
  local p = room(keys[1])
  local seen_epoch = tonumber(args[2])
  local epoch, version = wake(p, clock(), tonumber(args[1]), seen_epoch, tonumber(args[3]))
  if epoch ~= seen_epoch then
    return 0
  end
  local lifetime = tonumber(args[4])
  local at = learn(p, args, 5, version)
  local first, count = list(args, at, 3)
  for i = first, first + 3 * count - 1, 3 do
    local key, from, bytes = p .. ':u:' .. args[i], tonumber(args[i + 1]), args[i + 2]
    local old = redis.call('GETRANGE', key, from, from + #bytes - 1)
    local new = {}
    for b = 1, #bytes do
      new[b] = string.char(bit.bor(string.byte(bytes, b), string.byte(old, b) or 0))
    end
    redis.call('SETRANGE', key, from, table.concat(new))
    redis.call('EXPIRE', key, lifetime)
  end
  return 1
end

redis.register_function('einlass_2_exchange', exchange)
redis.register_function('einlass_2_join', join)
redis.register_function('einlass_2_publish', publish)
redis.register_function('einlass_2_leave', leave)
redis.register_function('einlass_2_merge', merge)
