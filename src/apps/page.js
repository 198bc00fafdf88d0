'use strict';
const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
const MAX_LINES = 1000;
const $ = (id) => document.getElementById(id);
let socket = null;

function showState() {
  const state = socket ? socket.readyState : WebSocket.CLOSED;
  $('state').textContent = `${state} (${STATES[state]})`;
  $('open').disabled = state !== WebSocket.CLOSED;
  $('close').disabled = state !== WebSocket.CONNECTING && state !== WebSocket.OPEN;
  $('send').disabled = state !== WebSocket.OPEN;
}

function log(kind, text) {
  const line = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = new Date().toLocaleTimeString();
  line.append(time, ` ${kind}: ${text}`);
  const isAtEnd = $('log').scrollTop + $('log').clientHeight >= $('log').scrollHeight - 4;
  $('log').append(line);
  while ($('log').childElementCount > MAX_LINES) $('log').firstElementChild.remove();
  if (isAtEnd) $('log').scrollTop = $('log').scrollHeight;
}

function connect() {
  const url = $('url').value;
  let opening;
  try {
    opening = new WebSocket(url);
  } catch (error) {
    log('error', error.message);
    return;
  }
  socket = opening;
  opening.binaryType = 'arraybuffer';
  log('connecting', url);
  opening.onopen = () => { log('open', url); showState(); $('text').focus(); };
  opening.onmessage = ({ data }) => {
    log('received', typeof data === 'string' ? data : `${data.byteLength} bytes of binary data`);
  };
  opening.onerror = () => log('error', 'the connection failed');
  opening.onclose = ({ code, reason, wasClean }) => {
    const how = `${code}${reason && `, "${reason}"`}, ${wasClean ? 'clean' : 'not clean'}`;
    $('closed').textContent = how;
    log('closed', how);
    showState();
  };
  showState();
}

$('connection').onsubmit = (event) => { event.preventDefault(); connect(); };
$('close').onclick = () => { socket.close(1000); showState(); };
$('sending').onsubmit = (event) => {
  event.preventDefault();
  if (!socket || socket.readyState !== WebSocket.OPEN) return;
  socket.send($('text').value);
  log('sent', $('text').value);
  $('text').value = '';
};
$('clear').onclick = () => $('log').replaceChildren();
$('url').value = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/`;
connect();
