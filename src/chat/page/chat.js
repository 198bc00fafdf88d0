/*
 * The chat's user interface: what the user does becomes events for the server,
 * what the server says becomes elements of the page.
 *
 * It does not speak WebSocket (client.js does), holds hardly any markup (that is
 * in the templates of index.html) and no style but class names and the height of
 * the composer. Names and messages only ever become text, never HTML.
 */

import { Client } from './client.js';

const LONGEST_NAME = 32;
const LONGEST_TEXT = 4_000;
const COUNT_FROM = LONGEST_TEXT - 400;
const TONES = 8;
const GROUPED_WITHIN = 5 * 60_000;
// An open chat must not grow for days; the oldest lines go first.
const LONGEST_LOG = 1_500;

const REPLACED = 4000;
const POLICY_CODES = [1003, 1008, 1009];

const $ = (id) => document.getElementById(id);
const url = `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/ws`;

let me = { name: '' };
let last = null; // { epoch, seq } of the last message seen
let connection = { state: 'closed' };
const online = new Set();
const outbox = []; // { text, fate, seq?, element }, oldest first

const client = new Client({
  greet: () => client.request('hello', { ...me, ...(last && { since: last }) }),
});

// --- Memory ------------------------------------------------------------------

// Storage may be switched off or full; the chat works without, it just forgets.
function remember(storage, key, value) {
  try {
    window[storage].setItem(key, JSON.stringify(value));
  } catch { /* forgotten, then */ }
}

function recall(storage, key) {
  try {
    return JSON.parse(window[storage].getItem(key));
  } catch {
    return null;
  }
}

// --- Entrance: asking for a name ---------------------------------------------

$('join').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = $('name').value.trim();
  const length = [...name].length;
  if (length < 1) return complain('Please enter a name.');
  if (length > LONGEST_NAME) return complain(`A name has at most ${LONGEST_NAME} characters; this one has ${length}.`);

  remember('localStorage', 'name', name);
  // The token proves that the name is ours, even if the server has not yet
  // noticed the end of an earlier connection. It belongs to that name only.
  const session = recall('sessionStorage', 'session');
  me = session?.name === name ? session : { name };
  complain('');
  client.connect(url);
});

function complain(text) {
  $('join-note').textContent = text;
  $('name').setAttribute('aria-invalid', String(text !== ''));
  if (text) $('name').focus();
}

function showEntrance() {
  $('lobby').hidden = $('lobby-tools').hidden = true;
  $('entrance').hidden = false;
  $('name').focus();
}

function showLobby() {
  $('entrance').hidden = true;
  $('lobby').hidden = $('lobby-tools').hidden = false;
  togglePeople(false);
  $('text').focus();
}

$('leave').addEventListener('click', () => {
  client.close();
  last = null;
  previous = null;
  outbox.length = 0;
  $('log').replaceChildren();
  $('outbox').replaceChildren();
  following = true;
  clearUnread();
  showEntrance();
});

// --- Connection --------------------------------------------------------------

const SPOKEN = {
  connecting: 'Connecting',
  open: 'Connected',
  closing: 'Closing the connection',
  closed: 'Connection closed',
  waiting: 'No connection, trying again soon',
};

let countdown;

client.onState((now) => {
  connection = now;
  clearInterval(countdown);
  if (now.state === 'waiting') countdown = setInterval(showState, 250);
  showState();
  $('state-spoken').textContent = SPOKEN[now.state];

  const lobby = !$('lobby').hidden;
  if (now.state === 'waiting' && lobby && POLICY_CODES.includes(now.code)) {
    addLine(`The server ended the connection: ${now.reason || `code ${now.code}`}`);
  }
  if (now.error) {
    // On a first hello as on a later one: the name is the thing to change.
    showEntrance();
    complain(refusalOf(now.error));
  } else if (!lobby) {
    $('join-note').textContent = now.state === 'waiting' ? 'The server cannot be reached. It will be tried again shortly.' : '';
  }
  $('join-button').disabled = now.state === 'connecting';
  $('join-button').textContent = { connecting: 'Joining…', waiting: 'Try now' }[now.state] ?? 'Join';
  showNotice();
  showSendable();
  showRetryable();
});

function showState() {
  const { state, retryAt } = connection;
  const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
  $('state').dataset.state = state;
  $('state-text').textContent = state === 'waiting' ? `reconnecting in ${seconds} s` : state;
}

function refusalOf({ code, message }) {
  if (code === 'name_taken') return 'Somebody in the lobby has this name already. Please choose another.';
  return message;
}

// Says above the composer why nothing can be sent, and offers the way out.
function showNotice() {
  const { state, code } = connection;
  let text = '';
  let button = '';
  if (state === 'closed' && code === REPLACED) {
    text = 'You joined from another tab or device, so this one was disconnected.';
    button = 'Use it here';
  } else if (state === 'waiting') {
    text = 'No connection. You can go on writing, and send once it is back.';
    button = 'Try now';
  } else if (state !== 'open') {
    text = 'Not connected yet. You can go on writing, and send in a moment.';
  }
  $('notice').hidden = text === '';
  $('notice-text').textContent = text;
  $('notice-button').hidden = button === '';
  $('notice-button').textContent = button;
}

$('notice-button').addEventListener('click', () => {
  // The button is about to vanish, and the focus should not vanish with it.
  $('text').focus();
  if (connection.state === 'waiting') client.retryNow();
  else client.connect(url);
});

window.addEventListener('online', () => client.retryNow());

// --- What the server says ----------------------------------------------------

client.on('welcome', ({ you, token, epoch, seq, online: names, messages, gap }) => {
  me = { name: you, token };
  remember('sessionStorage', 'session', me);

  const sameEpoch = last?.epoch === epoch;
  if (last && (gap || !sameEpoch)) addLine('Some messages are missing here');
  if (!sameEpoch) last = { epoch, seq: -1 };
  messages.forEach(addMessage);
  last.seq = Math.max(last.seq, seq);
  // Acknowledged before the connection was lost, and if not among the messages
  // just now, then among those that the server no longer has.
  outbox.filter(({ fate }) => fate === 'sent').forEach(withdraw);

  online.clear();
  names.forEach((name) => online.add(name));
  showPeople();
  // Only now, so that a screen reader does not read out the whole history.
  if ($('lobby').hidden) showLobby();
});

client.on('message', addMessage);

client.on('joined', ({ name }) => {
  if (online.has(name)) return;
  online.add(name);
  showPeople();
  addLine(`${isolate(name)} joined`);
});

client.on('left', ({ name }) => {
  if (!online.delete(name)) return;
  showPeople();
  addLine(`${isolate(name)} left`);
});

client.on('error', ({ message }) => addLine(`The server reports: ${message}`));

// --- The log -----------------------------------------------------------------

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: 'full' });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

// What decides whether the next message starts a day or a group.
let previous = null; // { day, from, time }

function addMessage({ seq, from, text, time }) {
  if (seq <= last.seq) return;
  last.seq = seq;
  const own = from === me.name;
  if (own) settleOutgoing(seq, text);

  const date = new Date(time);
  const day = date.toDateString();
  if (day !== previous?.day) {
    addLine(calendar.format(date), 'day');
  }
  const first = from !== previous?.from || time - previous.time > GROUPED_WITHIN;
  previous = { day, from, time };

  const element = fromTemplate('message-template');
  element.classList.add(toneOf(from));
  element.classList.toggle('own', own);
  element.classList.toggle('first', first);
  find(element, '.avatar').textContent = initialOf(from);
  find(element, '.name').textContent = from;
  find(element, '.text').textContent = text;
  const stamp = find(element, 'time');
  stamp.textContent = clock.format(date);
  stamp.title = moment.format(date);
  stamp.dateTime = date.toISOString();
  addToLog(element);

  if (!own) countUnread();
}

function addLine(text, kind = 'event') {
  const line = document.createElement('p');
  line.className = `line ${kind}`;
  line.textContent = text;
  addToLog(line);
  // Whoever speaks next is introduced anew; the day stays the same.
  previous = previous && { day: previous.day };
}

function addToLog(element) {
  $('log').append(element);
  // Not while somebody reads further up: the text would jump.
  while (following && $('log').childElementCount > LONGEST_LOG) $('log').firstElementChild.remove();
}

function fromTemplate(id) {
  return $(id).content.firstElementChild.cloneNode(true);
}

function find(element, selector) {
  return element.querySelector(selector);
}

// The same name has the same colour for everyone, always (FNV-1a).
function toneOf(name) {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  return `tone-${(hash >>> 0) % TONES}`;
}

function initialOf(name) {
  return [...name][0].toUpperCase();
}

// Keeps a right-to-left name from reordering the sentence around it.
function isolate(name) {
  return `\u2068${name}\u2069`;
}

// --- Following the log, and what was missed ----------------------------------

let following = true;
let unread = 0;
let seenHeights = ''; // at the observer's last look

function heightsNow() {
  const { scrollHeight, clientHeight } = $('scroller');
  return `${scrollHeight} ${clientHeight}`;
}

$('scroller').addEventListener('scroll', () => {
  const { scrollHeight, scrollTop, clientHeight } = $('scroller');
  if (scrollHeight - scrollTop - clientHeight < 40) following = true;
  // Was it the reader who moved, or did a height change, which moves things too
  // and which the observer below is about to hear of?
  else if (heightsNow() === seenHeights) following = false;
  if (following) clearUnread();
});

// Whatever changes a height (a message, the composer, a phone's keyboard):
// who was at the bottom stays there.
const heights = new ResizeObserver(() => {
  seenHeights = heightsNow();
  if (following) scrollToEnd();
});
heights.observe($('scroller'));
heights.observe($('content'));

function scrollToEnd() {
  following = true;
  $('scroller').scrollTop = $('scroller').scrollHeight;
}

function countUnread() {
  if ($('lobby').hidden || (following && !document.hidden)) return;
  unread += 1;
  showUnread();
}

function clearUnread() {
  if (unread === 0 || document.hidden) return;
  unread = 0;
  showUnread();
}

function showUnread() {
  document.title = unread ? `(${unread}) switchboard` : 'switchboard';
  $('unread').hidden = unread === 0 || following;
  $('unread').textContent = unread === 1 ? '1 new message' : `${unread} new messages`;
}

$('unread').addEventListener('click', () => {
  scrollToEnd();
  clearUnread();
  $('text').focus();
});

document.addEventListener('visibilitychange', () => {
  if (following) clearUnread();
});

// --- Who is online -----------------------------------------------------------

function showPeople() {
  const others = [...online].filter((name) => name !== me.name).sort((a, b) => a.localeCompare(b));
  const people = [me.name, ...others].map((name) => {
    const element = fromTemplate('person-template');
    element.classList.add(toneOf(name));
    element.classList.toggle('you', name === me.name);
    find(element, '.avatar').textContent = initialOf(name);
    find(element, '.name').textContent = name;
    return element;
  });
  $('people-list').replaceChildren(...people);
  for (const count of document.querySelectorAll('.count')) count.textContent = people.length;
}

// On a wide page the list is always there, and the button is not.
function togglePeople(shown) {
  $('people').classList.toggle('shown', shown);
  $('people-toggle').setAttribute('aria-expanded', String(shown));
}

$('people-toggle').addEventListener('click', () => togglePeople(!$('people').classList.contains('shown')));

$('lobby').addEventListener('pointerdown', (event) => {
  if (!$('people').contains(event.target)) togglePeople(false);
});

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') togglePeople(false);
});

// --- Composer ----------------------------------------------------------------

const input = $('text');

input.addEventListener('input', () => {
  fitInput();
  showSendable();
});

input.addEventListener('keydown', (event) => {
  // During a composition Enter belongs to the input method; where isComposing
  // ends too early to say so, key code 229 still does.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  $('composer').requestSubmit();
});

$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  if (!showSendable()) return;
  send(draft());
  input.value = '';
  input.focus();
  fitInput();
  showSendable();
});

// Blank lines around a message go; the indentation of its first line stays.
function draft() {
  return input.value.replace(/^(\s*\n)+/, '').trimEnd();
}

function fitInput() {
  input.style.height = 'auto';
  input.style.height = `${input.scrollHeight + input.offsetHeight - input.clientHeight}px`;
  // For the measuring the field was small, and the log above it large.
  if (following) scrollToEnd();
}

function showSendable() {
  const length = [...draft()].length;
  const left = LONGEST_TEXT - length;
  let words = '';
  if (left < 0) words = `Characters too many: ${-left}`;
  else if (length > COUNT_FROM) words = `Characters left: ${left}`;
  $('length').textContent = words;
  $('length').classList.toggle('over', left < 0);

  const sendable = connection.state === 'open' && length > 0 && left >= 0;
  $('send').disabled = !sendable;
  return sendable;
}

// --- Outbox: sent, but not yet in the log ------------------------------------

// A message goes to the log when the server hands it out, so that everyone sees
// the same order; until then it waits here.
function send(text) {
  const element = fromTemplate('outgoing-template');
  const item = { text, element };
  find(element, '.text').textContent = text;
  find(element, '.retry').addEventListener('click', () => {
    deliver(item);
    input.focus();
  });
  find(element, '.discard').addEventListener('click', () => {
    withdraw(item);
    input.focus();
  });
  outbox.push(item);
  $('outbox').append(element);
  scrollToEnd();
  deliver(item);
}

async function deliver(item) {
  showFate(item, 'sending', 'sending…');
  try {
    const { seq } = await client.request('say', { text: item.text });
    item.seq = seq;
    if (seq <= last.seq) withdraw(item); // It overtook its acknowledgement.
    else showFate(item, 'sent', 'sent');
  } catch (error) {
    showFate(item, 'failed', failureOf(error));
    showRetryable();
  }
}

// It is not sent again unasked: the server may have had it after all, and it
// would be there twice.
function failureOf({ code, message }) {
  if (code === 'disconnected') return 'not delivered';
  if (code === 'timeout') return 'not delivered: no answer from the server';
  return `not delivered: ${message}`;
}

function showFate(item, fate, words) {
  item.fate = fate;
  item.element.dataset.fate = fate;
  find(item.element, '.fate').textContent = words;
  find(item.element, '.choices').hidden = fate !== 'failed';
}

function showRetryable() {
  for (const { element } of outbox) find(element, '.retry').disabled = connection.state !== 'open';
}

function withdraw(item) {
  item.element.remove();
  const index = outbox.indexOf(item);
  if (index >= 0) outbox.splice(index, 1);
}

// One's own message came back. Without the acknowledgement it is known by its
// text only: the one on its way, or else one that was thought lost.
function settleOutgoing(seq, text) {
  const same = (item) => item.text.trim() === text.trim();
  const item = outbox.find((each) => each.seq === seq)
    ?? outbox.find((each) => each.fate === 'sending' && same(each))
    ?? outbox.find((each) => each.fate === 'failed' && same(each));
  if (item) withdraw(item);
}

// --- Beginning ---------------------------------------------------------------

$('name').value = recall('localStorage', 'name') ?? '';
showEntrance();
