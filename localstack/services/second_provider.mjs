// A second service, written from the published contract alone (shared/wire/contract.openapi.json): Node.js 20, nothing to install.
//
//     node localstack/services/second_provider.mjs --port 4600 --ledger ledger.jsonl [--limit 10000] [--chaos 0.3]
//
// It keeps both promises. `key`: the first decision for a key is final; the key alone tells requests apart. `tombstone`: an
// undo of a key that it never saw is answered `undone`, and a later act of that key is refused. Every service name is served, by path: /<service>/act, /<service>/undo.
//
// The ledger is a file of JSON lines, one for each decision. A line is on disk before its decision is in any answer, and
// nothing runs between looking a key up and writing its line, because JavaScript runs one callback at a time.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string' },
    ledger: { type: 'string' },
    limit: { type: 'string', default: 'Infinity' }, // an act with a larger amount is refused
    chaos: { type: 'string', default: '0' }, // how often it loses its answer, is late or fails
  },
});
if (!options.port || !options.ledger) {
  console.error('usage: second_provider.mjs --port PORT --ledger FILE [--limit AMOUNT] [--chaos PROBABILITY]');
  process.exit(2);
}

// Decisions by service, verb and key; what an undo said of an act's key, by service and key.
const decisions = new Map();
const undone = new Set();
const id = (...parts) => JSON.stringify(parts);

replay(options.ledger);
const ledger = openSync(options.ledger, 'a');

function replay(file) {
  if (!existsSync(file)) return closeSync(openSync(file, 'a'));
  const bytes = readFileSync(file);
  // A last line without its end was never answered.
  const whole = bytes.lastIndexOf(10) + 1;
  if (whole < bytes.length) truncateSync(file, whole);
  bytes.subarray(0, whole).toString().split('\n').filter(Boolean).forEach((line) => remember(JSON.parse(line)));
}

function remember(entry) {
  decisions.set(id(entry.service, entry.verb, entry.key), entry);
  if (entry.verb === 'undo') undone.add(id(entry.service, entry.act_key));
}

function commit(entry) {
  writeSync(ledger, JSON.stringify(entry) + '\n');
  fsyncSync(ledger);
  remember(entry);
}

function decide(service, verb, body) {
  const known = decisions.get(id(service, verb, body.key));
  if (known) return answer(known);
  const entry = { service, verb, key: body.key, saga: body.saga_id, at: new Date().toISOString(), effect: 0 };
  if (verb === 'undo') {
    const acted = decisions.get(id(service, 'act', body.act_key));
    const again = undone.has(id(service, body.act_key));
    const effect = acted?.decision === 'accepted' && !again ? -1 : 0;
    commit({ ...entry, act_key: body.act_key, decision: 'undone', effect, found: again ? 'undone' : acted?.decision ?? 'unseen' });
  } else if (undone.has(id(service, body.key))) {
    commit({ ...entry, decision: 'refused', reason: 'this key was undone before' });
  } else if (Number(body.input?.amount ?? 0) > Number(options.limit)) {
    commit({ ...entry, decision: 'refused', reason: `the amount is over ${options.limit}` });
  } else {
    commit({ ...entry, decision: 'accepted', effect: 1, output: { booking: `N-${decisions.size + 1}` } });
  }
  return answer(decisions.get(id(service, verb, body.key)));
}

function answer({ decision, output, reason }) {
  return { status: 200, body: { decision, output, reason } };
}

function problem(status, detail) {
  return { status, body: { status, detail } };
}

function read(request, raw) {
  const [, service, verb] = /^\/([\w-]+)\/(act|undo)$/.exec(request.url) ?? [];
  if (!service) return problem(404, 'there are /<service>/act and /<service>/undo');
  if (request.method !== 'POST') return problem(405, 'act and undo are POST');
  let body;
  try {
    body = JSON.parse(raw);
  } catch {
    return problem(400, 'the body is no JSON');
  }
  if (typeof body?.key !== 'string' || body.key !== request.headers['idempotency-key']) {
    return problem(400, 'the member key and the header idempotency-key must be there, and the same');
  }
  if (verb === 'undo' && typeof body.act_key !== 'string') return problem(400, 'the member act_key is missing');
  return { decide: () => decide(service, verb, body) };
}

function send(response, { status, body }) {
  response.writeHead(status, { 'content-type': status === 200 ? 'application/json' : 'application/problem+json' });
  response.end(JSON.stringify(body));
}

const server = createServer(async (request, response) => {
  const chunks = [];
  let size = 0;
  try {
    for await (const chunk of request) {
      if ((size += chunk.length) > 256 * 1024) return send(response, problem(413, 'a body has at most 256 KiB'));
      chunks.push(chunk);
    }
  } catch {
    return; // the caller went away
  }
  const call = read(request, Buffer.concat(chunks).toString());
  if (!call.decide) return send(response, call);
  if (Math.random() >= Number(options.chaos)) return send(response, call.decide());
  const fault = Math.floor(Math.random() * 3);
  if (fault === 0) return send(response, problem(500, 'chaos'));
  const reply = call.decide();
  if (fault === 1) return response.destroy(); // the work is done and the answer is lost
  setTimeout(() => send(response, reply), Math.random() * 20_000);
});
server.listen(Number(options.port), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${options.port}`));
