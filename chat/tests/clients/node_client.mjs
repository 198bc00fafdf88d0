// Tests a switchboard program with the npm `ws` client.
//
// node node_client.mjs PROGRAM PYTHON_CLIENT...
//
// PYTHON_CLIENT is the command that starts python_client.py, which is the other side of one case. If TLS_FILES is a
// folder of certificates.py, the cases run over TLS.

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { isDeepStrictEqual, inspect } from 'node:util';
import WebSocket from 'ws';

const DEADLINE = 10; // seconds, for every wait
const EXIT_DEADLINE = 6; // seconds from SIGTERM to the end of the process
const PROTOCOL = 'switchboard.v1';
const LOBBY = 1; // the room that every user is in from the beginning
// The authority of these certificates has to be in NODE_EXTRA_CA_CERTS.
const folder = process.env.TLS_FILES;
const TLS = folder ? ['--tls-cert', `${folder}/server.pem`, '--tls-key', `${folder}/server.key`] : [];

class Failure extends Error {
  constructor(expected, seen) {
    super(`expected ${expected}, got ${seen}`);
  }
}

function brief(value) {
  const shown = inspect(value, { breakLength: Infinity, maxStringLength: 80, maxArrayLength: 10 });
  return value?.length > 80 ? `${shown} (${value.length} long)` : shown;
}

function check(what, expected, seen) {
  if (!isDeepStrictEqual(seen, expected)) {
    throw new Failure(`${what} ${brief(expected)}`, brief(seen));
  }
}

async function wait(what, promise, { seconds = DEADLINE, others = [] } = {}) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      const found = others.length ? `only ${JSON.stringify(others)}` : 'nothing';
      reject(new Failure(what, `${found} in ${seconds} s`));
    }, seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } catch (error) {
    throw error instanceof Failure ? error : new Failure(what, error.message);
  } finally {
    clearTimeout(timer);
  }
}

// One connection: keeps the messages that the case has not taken yet.
class Client {
  constructor(url, protocols, options) {
    this.inbox = [];
    this.wake = () => {};
    this.socket = new WebSocket(url, protocols, options);
    this.opened = once(this.socket, 'open');
    this.closed = new Promise((resolve) => this.socket.addEventListener('close', resolve));
    this.closed.then(() => this.wake());
    // `once` above reports an error of the opening; any later one ends in a close.
    this.socket.on('error', () => {});
    this.socket.on('message', (data, isBinary) => {
      this.inbox.push(isBinary ? data : data.toString());
      this.wake();
    });
  }

  send(message, options) {
    this.socket.send(message, options);
  }

  async next() {
    while (this.inbox.length === 0) {
      if (this.socket.readyState === WebSocket.CLOSED) {
        throw new Error(`close ${(await this.closed).code}`);
      }
      await new Promise((resolve) => {
        this.wake = resolve;
      });
    }
    return this.inbox.shift();
  }

  async checkMessage(expected) {
    check('message', expected, await wait(`message ${brief(expected)}`, this.next()));
  }

  async checkPong(payload) {
    const pong = once(this.socket, 'pong');
    this.socket.ping(payload);
    const [seen] = await wait(`pong ${brief(payload)}`, pong);
    check('pong', payload, seen);
  }

  async checkClosed(expected) {
    const { code, wasClean } = await wait(`close ${expected}`, this.closed);
    check('close', { code: expected, wasClean: true }, { code, wasClean });
  }

  async hangUp() {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.close(1000);
    await this.checkClosed(1000);
  }
}

// One user of the chat: keeps the events that the case has not taken yet.
class Chat {
  constructor(client) {
    this.client = client;
    this.asked = 0;
    this.unclaimed = [];
  }

  send(...event) {
    this.client.send(JSON.stringify(event));
  }

  // Sends an event and returns the result that acknowledges it.
  ask(event, data) {
    this.asked += 1;
    this.send(event, data, this.asked);
    return this.event('ack', this.asked);
  }

  // Sends a message to the Lobby and returns its `seq`.
  async say(text) {
    const { seq } = await this.ask('say', { room: LOBBY, text, key: randomUUID() });
    return seq;
  }

  async welcome(name, guest) {
    await this.event('welcome', undefined, {
      keys: ['session', 'time', 'limits', 'rooms', 'older', 'blocked', 'blocked_more', 'online'],
      you: { name, guest, operator: false },
    });
    check('events before welcome', [], this.unclaimed);
  }

  async expired(reason) {
    await this.event('expired', undefined, { reason });
    await this.client.checkClosed(4001);
  }

  // Takes the first event of this name and id, and checks what its data holds.
  async event(name, id, { keys = [], ...values } = {}) {
    const wantedId = id === undefined ? [] : [id];
    const what = `event ${JSON.stringify([name, {}, ...wantedId])}`;
    const data = await wait(what, this.take(name, wantedId), { others: this.unclaimed });
    for (const key of keys) {
      if (!(key in data)) throw new Failure(`${name} with ${keys.join(' ')}`, brief(data));
    }
    for (const [key, value] of Object.entries(values)) {
      check(`${name} with ${key}`, value, data[key]);
    }
    return data;
  }

  async take(name, wantedId) {
    const isWanted = ([event, , ...id]) => event === name && isDeepStrictEqual(id, wantedId);
    let position;
    while ((position = this.unclaimed.findIndex(isWanted)) === -1) {
      this.unclaimed.push(JSON.parse(await this.client.next()));
    }
    return this.unclaimed.splice(position, 1)[0][1];
  }
}

// A running switchboard program and the connections to it.
class Server {
  constructor(program, args) {
    this.process = spawn(program, [...args, '--listen', '127.0.0.1:0'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.log = '';
    this.process.stderr.on('data', (data) => {
      this.log += data;
    });
    this.exited = once(this.process, 'exit');
    this.stopped = false;
    this.clients = [];
  }

  async start() {
    const lines = createInterface(this.process.stdout);
    const [line] = await wait(
      'line with the URL',
      Promise.race([once(lines, 'line'), this.exited.then(([code]) => [`exit code ${code}`])]),
    );
    if (!line.includes('://127.0.0.1:')) throw new Failure('line that ends with the URL', line);
    this.url = new URL(line.split(' ').at(-1));
    const secure = ['https:', 'wss:'].includes(this.url.protocol) ? 's' : '';
    this.chatUrl = `ws${secure}://${this.url.host}/ws`;
    this.origin = `http${secure}://${this.url.host}`;
  }

  // Begins a connection without waiting until it is open.
  begin(url = this.url, protocols = [], options = {}) {
    const client = new Client(url, protocols, options);
    this.clients.push(client);
    return client;
  }

  async connect(...target) {
    const client = this.begin(...target);
    await wait('connection', client.opened);
    return client;
  }

  // Asks the API for a session, as a guest or with an account, and returns its token.
  async signIn(how, name, body = {}) {
    const answer = fetch(`${this.origin}/api/${how}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ name, token: true, ...body }),
    }).then((response) => response.json());
    const { you, token, error } = await wait(`answer to ${how}`, answer);
    check(`${how} with you`, { name, guest: how === 'guest', operator: false }, you ?? error);
    return token;
  }

  async openChat(token) {
    const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    const client = await this.connect(this.chatUrl, [PROTOCOL], { headers });
    check('subprotocol', PROTOCOL, client.socket.protocol);
    return new Chat(client);
  }

  // A new guest who follows the Lobby.
  async join(name) {
    const chat = await this.openChat(await this.signIn('guest', name));
    await chat.welcome(name, true);
    const { room, live } = await chat.ask('join', { room: LOBBY });
    check('Lobby', ['Lobby', true], [room.name, live]);
    return chat;
  }

  async stop() {
    this.stopped = true;
    check('exit code before SIGTERM', null, this.process.exitCode);
    this.process.kill('SIGTERM');
    const [code, signal] = await wait('exit after SIGTERM', this.exited, {
      seconds: EXIT_DEADLINE,
    });
    check('exit', { code: 0, signal: null }, { code, signal });
  }
}

async function connects(server) {
  await server.connect();
}

const echoes = (message) => async (server) => {
  const client = await server.connect();
  client.send(message);
  await client.checkMessage(message);
};

const echoesFragments = (binary) => async (server) => {
  const whole = Buffer.from('日本語🦀');
  const client = await server.connect();
  client.send(whole.subarray(0, 2), { binary, fin: false });
  await client.checkPong(Buffer.from('between fragments'));
  client.send(whole.subarray(2, 4), { binary, fin: false });
  client.send(whole.subarray(4, 11), { binary, fin: false });
  client.send(whole.subarray(11), { binary, fin: true });
  await client.checkMessage(binary ? whole : whole.toString());
};

const pongs = (payload) => async (server) => {
  const client = await server.connect();
  await client.checkPong(payload);
};

const closes = (code) => async (server) => {
  const client = await server.connect();
  client.socket.close(code, 'bye');
  await client.checkClosed(code);
};

async function echoesPipelined(server) {
  const client = await server.connect();
  const messages = Array.from({ length: 200 }, (_, number) => `message ${number}`);
  for (const message of messages) client.send(message);
  for (const message of messages) await client.checkMessage(message);
}

const echoesWithCompression = (perMessageDeflate, answer) => async (server) => {
  const client = await server.connect(undefined, [], { perMessageDeflate });
  check('extension', answer, client.socket.extensions);
  for (let number = 0; number < 40; number++) {
    const message = `compress me ${number}, as I said in ${number - 1}; `.repeat(1 + number * number);
    client.send(message);
    await client.checkMessage(message);
  }
};

async function failsToOpen(client, expected) {
  const outcome = client.opened.then(
    () => 'an open connection',
    (error) => error.message,
  );
  check('error', expected, await wait(`error ${expected}`, outcome));
}

// This client, unlike browsers, fails the connection when the server picks no subprotocol.
async function hasNoUnknownSubprotocol(server) {
  await failsToOpen(server.begin(undefined, ['unknown.v1']), 'Server sent no subprotocol');
}

async function refusesLongMessage(server) {
  const client = await server.connect();
  client.send('x'.repeat(1000));
  await client.checkMessage('x'.repeat(1000));
  client.send('x'.repeat(1001));
  await client.checkClosed(1009);
}

const broadcastsTo = (to) => async (server) => {
  const clients = [await server.connect(), await server.connect(), await server.connect()];
  for (const client of clients) {
    await client.checkPong(Buffer.from('is the server ready for this client?'));
  }
  const [sender, second, third] = clients;
  sender.send('from the first');
  if (to === 'all') await sender.checkMessage('1: from the first');
  await second.checkMessage('1: from the first');
  await third.checkMessage('1: from the first');
  // A copy of its own message would reach the sender before this one.
  second.send('from the second');
  await sender.checkMessage('2: from the second');
  if (to === 'all') await second.checkMessage('2: from the second');
  await third.checkMessage('2: from the second');
};

async function chats(server) {
  const ada = await server.join('Ada');
  const bob = await server.join('Bob');
  const said = [];
  for (const [member, from, text] of [[ada, 'Ada', 'hi'], [bob, 'Bob', 'hello'], [ada, 'Ada', 'bye']]) {
    const seq = await member.say(text);
    // The case has taken all earlier messages: one that is left came before its ack.
    check('messages before the ack', [], member.unclaimed.filter(([event]) => event === 'message'));
    for (const receiver of [ada, bob]) {
      await receiver.event('message', undefined, { room: LOBBY, seq, kind: 'said', text, from });
    }
    said.push(seq);
  }
  check('numbers', [said[0], said[0] + 1, said[0] + 2], said);
}

async function signsInToAnAccount(server) {
  const password = 'correct horse battery';
  await server.signIn('register', 'Ada', { password });
  const token = await server.signIn('login', 'Ada', { password });
  const ada = await server.openChat();
  ada.send('auth', { token });
  await ada.welcome('Ada', false);
}

async function tellsInPrivate(server) {
  const ada = await server.join('Ada');
  const bob = await server.join('Bob');
  const carol = await server.join('Carol');
  const { room, seq } = await ada.ask('tell', { name: 'Bob', text: 'psst', key: randomUUID() });
  await bob.event('room', undefined, { room, kind: 'direct', name: 'Ada' });
  await bob.event('message', undefined, { room, seq, text: 'psst', from: 'Ada' });
  // If Carol had received the private message, it would come before this one.
  await ada.say('hi all');
  await carol.event('message', undefined, { room: LOBBY, text: 'hi all' });
}

async function saysOncePerKey(server) {
  const bob = await server.join('Bob');
  const token = await server.signIn('guest', 'Ada');
  const message = { room: LOBBY, text: 'once', key: randomUUID() };
  let ada = await server.openChat(token);
  const first = await ada.ask('say', message);
  check('result of the repeat', first, await ada.ask('say', message));
  ada = await server.openChat(token);
  check('result on the next connection', first, await ada.ask('say', message));
  await ada.say('and on');
  await bob.event('message', undefined, { seq: first.seq, text: 'once' });
  await bob.event('message', undefined, { seq: first.seq + 1, text: 'and on' });
}

async function comesBack(server) {
  const ada = await server.join('Ada');
  const token = await server.signIn('guest', 'Bob');
  let bob = await server.openChat(token);
  await bob.ask('join', { room: LOBBY });
  await ada.say('heard');
  const { epoch, seq, hash } = await bob.event('message', undefined, { text: 'heard' });
  await bob.client.hangUp();

  const missed = [];
  for (const text of ['missed', 'missed too']) missed.push({ seq: await ada.say(text), text });
  bob = await server.openChat(token);
  const other = await bob.ask('join', { room: LOBBY, since: { epoch, seq, hash: '?' } });
  check('gap after another message', true, other.gap);
  const { messages, gap, live } = await bob.ask('join', { room: LOBBY, since: { epoch, seq, hash } });
  check('missed', missed, messages.map(({ seq, text }) => ({ seq, text })));
  check('gap and live', { gap: false, live: true }, { gap, live });
  const next = await ada.say('live again');
  await bob.event('message', undefined, { seq: next, text: 'live again' });
}

const talksToPython = (command) => async (server) => {
  const node = await server.join('Node');
  const [python, ...args] = command;
  const peer = spawn(python, [...args, '--peer', server.url.href], { stdio: ['ignore', 2, 2] });
  await wait('start of the Python client', once(peer, 'spawn'));
  const exited = once(peer, 'exit');
  try {
    await node.event('message', undefined, { text: 'hi from Python', from: 'Python' });
    await node.say('hi from Node');
    await node.event('message', undefined, { text: 'hi from Node', from: 'Node' });
    const [code] = await wait('end of the Python client', exited);
    check('exit code of the Python client', 0, code);
  } finally {
    peer.kill();
  }
};

async function reportsUnknownEvent(server) {
  const ada = await server.join('Ada');
  ada.send('nope', {}, 'an id');
  await ada.event('error', 'an id', { keys: ['message'], code: 'unknown_event' });
  await ada.say('still here');
}

async function survivesBadJson(server) {
  const ada = await server.join('Ada');
  ada.client.send('{');
  await ada.event('error', undefined, { keys: ['message'], code: 'bad_json' });
  await ada.say('still here');
}

async function expiresUnknownTokens(server) {
  const unknownToken = 'A'.repeat((await server.signIn('guest', 'Ada')).length);
  const byHeader = await server.openChat(unknownToken);
  await byHeader.expired('unknown');
  const byEvent = await server.openChat();
  byEvent.send('auth', { token: unknownToken });
  await byEvent.expired('unknown');
}

async function refusesBinary(server) {
  const ada = await server.join('Ada');
  ada.client.send(Buffer.from('[]'));
  await ada.client.checkClosed(1003);
}

async function refusesForeignOrigin(server) {
  await server.connect(server.chatUrl, [PROTOCOL], { origin: server.origin });
  const client = server.begin(server.chatUrl, [PROTOCOL], { origin: 'http://evil.example' });
  await failsToOpen(client, 'Unexpected server response: 403');
}

async function closesOnShutdown(server, clients) {
  await Promise.all([server.stop(), ...clients.map((client) => client.checkClosed(1001))]);
}

async function echoClosesOnShutdown(server) {
  const clients = [await server.connect(), await server.connect()];
  for (const client of clients) {
    client.send('hello');
    await client.checkMessage('hello');
  }
  await closesOnShutdown(server, clients);
}

async function chatClosesOnShutdown(server) {
  const ada = await server.join('Ada');
  const bob = await server.join('Bob');
  await ada.say('hi');
  await bob.event('message', undefined, { text: 'hi' });
  await closesOnShutdown(server, [ada.client, bob.client]);
}

function* cases(pythonClient) {
  const echo = ['echo'];
  yield ['echo: connect', echo, connects];
  yield ['echo: text, multi-byte', echo, echoes('Grüße, 日本語, 한국어, 🦀 👩‍🚀')];
  yield ["echo: text 'Hello'", echo, echoes('Hello')];
  for (const length of [0, 125, 126, 65535, 65536, 1024 * 1024]) {
    const text = '0123456789'.repeat(length / 10 + 1).slice(0, length);
    const data = Buffer.from(Array.from({ length }, (_, position) => position % 256));
    yield [`echo: text of ${length} bytes`, echo, echoes(text)];
    yield [`echo: binary of ${length} bytes`, echo, echoes(data)];
  }
  yield ['echo: text in fragments, a ping between', echo, echoesFragments(false)];
  yield ['echo: binary in fragments, a ping between', echo, echoesFragments(true)];
  yield ['echo: ping', echo, pongs(Buffer.from('are you there?'))];
  yield ['echo: ping of 125 bytes', echo, pongs(Buffer.from([...Array(125).keys()]))];
  yield ['echo: close 1000', echo, closes(1000)];
  yield ['echo: close 4000', echo, closes(4000)];
  yield ['echo: 200 messages at once', echo, echoesPipelined];
  const takeover = [...echo, '--deflate-memory-bytes', '100000000'];
  const bits = { serverMaxWindowBits: 9, clientMaxWindowBits: 9 };
  yield ['echo: compression', echo, echoesWithCompression({ threshold: 0 }, 'permessage-deflate')];
  yield ['echo: compression with context takeover', takeover, echoesWithCompression({ threshold: 0 }, 'permessage-deflate')];
  yield ['echo: compression with small windows', takeover, echoesWithCompression(bits, 'permessage-deflate')];
  yield ['echo: compression not offered', echo, echoesWithCompression(false, '')];
  yield ['echo: compression turned off', [...echo, '--no-deflate'], echoesWithCompression(true, '')];
  yield ['echo: unknown subprotocol', echo, hasNoUnknownSubprotocol];
  yield ['echo: too long a message', [...echo, '--max-message-bytes', '1000'], refusesLongMessage];
  yield ['echo: SIGTERM', echo, echoClosesOnShutdown];
  for (const to of ['all', 'others']) {
    yield [`broadcast: to ${to}`, ['broadcast', '--to', to], broadcastsTo(to)];
  }
  const chat = ['--data', ':memory:'];
  yield ['chat: two members', chat, chats];
  yield ['chat: talks to Python', chat, talksToPython(pythonClient)];
  yield ['chat: an account, the event auth', chat, signsInToAnAccount];
  yield ['chat: tell', chat, tellsInPrivate];
  yield ['chat: a repeated key', chat, saysOncePerKey];
  yield ['chat: coming back', chat, comesBack];
  yield ['chat: unknown event', chat, reportsUnknownEvent];
  yield ['chat: bad JSON', chat, survivesBadJson];
  yield ['chat: unknown token', chat, expiresUnknownTokens];
  yield ['chat: foreign origin', chat, refusesForeignOrigin];
  yield ['chat: binary', chat, refusesBinary];
  yield ['chat: SIGTERM', chat, chatClosesOnShutdown];
}

async function runCase(program, args, test) {
  const server = new Server(program, args);
  try {
    await server.start();
    await test(server);
    if (!server.stopped) {
      await Promise.all(server.clients.map((client) => client.hangUp()));
      await server.stop();
    }
  } catch (error) {
    process.stderr.write(server.log);
    throw error;
  } finally {
    server.process.kill('SIGKILL');
    server.clients.forEach((client) => client.socket.terminate());
  }
}

const [program, ...pythonClient] = process.argv.slice(2);
if (pythonClient.length === 0) {
  console.error('usage: node node_client.mjs PROGRAM PYTHON_CLIENT...');
  process.exit(1);
}
for (const [name, args, test] of cases(pythonClient)) {
  try {
    await runCase(program, [...args, ...TLS], test);
    console.log(`ok   node   ${name}${folder ? ' over TLS' : ''}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAIL node   ${name}: ${error instanceof Failure ? error.message : error.stack}`);
  }
}
