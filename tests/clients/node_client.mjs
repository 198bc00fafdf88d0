// Tests a switchboard program with the npm `ws` client.
//
// node node_client.mjs PROGRAM PYTHON_CLIENT...
//
// PYTHON_CLIENT is the command that starts python_client.py, which is the other side of one case.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { isDeepStrictEqual, inspect } from 'node:util';
import WebSocket from 'ws';

const DEADLINE = 10; // seconds, for every wait
const EXIT_DEADLINE = 6; // seconds from SIGTERM to the end of the process
const PROTOCOL = 'switchboard.v1';

class Failure extends Error {
  constructor(expected, seen) {
    super(`expected ${expected}, seen ${seen}`);
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

// One connection: keeps the messages that nothing has asked for yet.
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

// One member of the chat: keeps the events that nothing has asked for yet.
class Chat {
  constructor(client) {
    this.client = client;
    this.unclaimed = [];
  }

  send(...event) {
    this.client.send(JSON.stringify(event));
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
    this.chatUrl = `ws://${this.url.host}/ws`;
    this.origin = `http://${this.url.host}`;
  }

  // A connection whose opening is not waited for.
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

  async join(name) {
    const client = await this.connect(this.chatUrl, [PROTOCOL], { origin: this.origin });
    check('subprotocol', PROTOCOL, client.socket.protocol);
    const chat = new Chat(client);
    chat.send('hello', { name }, 1);
    await chat.event('welcome', undefined, {
      keys: ['you', 'token', 'epoch', 'seq', 'online', 'messages', 'gap'],
    });
    await chat.event('ack', 1);
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
  client.socket.close(code, 'so long');
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
  if (to === 'all') await sender.checkMessage('from the first');
  await second.checkMessage('from the first');
  await third.checkMessage('from the first');
  // Whatever the sender had got of its own message would come before this one.
  second.send('from the second');
  await sender.checkMessage('from the second');
  if (to === 'all') await second.checkMessage('from the second');
  await third.checkMessage('from the second');
};

async function chats(server) {
  const ada = await server.join('Ada');
  const bob = await server.join('Bob');
  await ada.event('joined', undefined, { name: 'Bob' });
  ada.send('say', { text: 'hi' }, 2);
  const { seq, time } = await ada.event('ack', 2, { keys: ['seq', 'time'] });
  for (const member of [ada, bob]) {
    await member.event('message', undefined, { seq, time, text: 'hi', from: 'Ada' });
  }
}

const talksToPython = (command) => async (server) => {
  const node = await server.join('Node');
  const [python, ...args] = command;
  const peer = spawn(python, [...args, '--peer', server.url.href], { stdio: ['ignore', 2, 2] });
  await wait('start of the Python client', once(peer, 'spawn'));
  const exited = once(peer, 'exit');
  try {
    await node.event('joined', undefined, { name: 'Python' });
    node.send('say', { text: 'hi from Node' }, 2);
    await node.event('ack', 2, { keys: ['seq', 'time'] });
    await node.event('message', undefined, { text: 'hi from Node', from: 'Node' });
    await node.event('message', undefined, { text: 'hi from Python', from: 'Python' });
    const [code] = await wait('end of the Python client', exited);
    check('exit code of the Python client', 0, code);
  } finally {
    peer.kill();
  }
};

async function reportsUnknownEvent(server) {
  const ada = await server.join('Ada');
  ada.send('nope', {}, 3);
  await ada.event('error', 3, { keys: ['message'], code: 'unknown_event' });
}

async function survivesBadJson(server) {
  const ada = await server.join('Ada');
  ada.client.send('{');
  await ada.event('error', undefined, { code: 'bad_json' });
  ada.send('say', { text: 'still here' }, 2);
  await ada.event('ack', 2, { keys: ['seq', 'time'] });
}

async function refusesForeignOrigin(server) {
  const client = server.begin(server.chatUrl, [PROTOCOL], { origin: 'http://evil.example' });
  await failsToOpen(client, 'Unexpected server response: 403');
}

async function saysGoodbye(server, clients) {
  await Promise.all([server.stop(), ...clients.map((client) => client.checkClosed(1001))]);
}

async function echoSaysGoodbye(server) {
  const clients = [await server.connect(), await server.connect()];
  for (const client of clients) {
    client.send('hello');
    await client.checkMessage('hello');
  }
  await saysGoodbye(server, clients);
}

async function chatSaysGoodbye(server) {
  const ada = await server.join('Ada');
  const bob = await server.join('Bob');
  ada.send('say', { text: 'hi' }, 2);
  await bob.event('message', undefined, { text: 'hi' });
  await saysGoodbye(server, [ada.client, bob.client]);
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
  yield ['echo: SIGTERM', echo, echoSaysGoodbye];
  for (const to of ['all', 'others']) {
    yield [`broadcast: to ${to}`, ['broadcast', '--to', to], broadcastsTo(to)];
  }
  yield ['chat: two members', [], chats];
  yield ['chat: talks to Python', [], talksToPython(pythonClient)];
  yield ['chat: unknown event', [], reportsUnknownEvent];
  yield ['chat: bad JSON', [], survivesBadJson];
  yield ['chat: foreign origin', [], refusesForeignOrigin];
  yield ['chat: SIGTERM', [], chatSaysGoodbye];
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
    await runCase(program, args, test);
    console.log(`ok   node   ${name}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAIL node   ${name}: ${error instanceof Failure ? error.message : error.stack}`);
  }
}
