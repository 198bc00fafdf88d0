/*
 * The script of these pages. `data-on` lists the events that a page logs, `data-parser` names the form of its events.
 * A form with `data-event` emits that event, whose data is its field's text, or a list if there are more, and logs the
 * answer. A form `connect` connects with its fields as the URL's query.
 */

import * as module from '/events.js';

const { on = '', parser = 'jsonArrays' } = document.body.dataset;
let events = null;

function log(text) {
  const line = document.createElement('li');
  line.textContent = text;
  document.getElementById('log').append(line);
}

function connect(query) {
  events?.close();
  events = new module.Events({ url: `/${query}`, parser: module[parser] });
  for (const name of ['error', ...on.split(' ')]) events.on(name, (data) => log(`${name}: ${JSON.stringify(data)}`));
  events.on('state', ({ state }) => { document.getElementById('state').textContent = state; });
}

for (const form of document.forms) {
  form.addEventListener('submit', (submission) => {
    submission.preventDefault();
    const fields = new FormData(form);
    const values = [...fields.values()];
    if (form.id === 'connect') return connect(`?${new URLSearchParams(fields)}`);
    const { event } = form.dataset;
    return events?.emit(event, values.length > 1 ? values : values[0], (error, answer) => {
      log(error ? `${event} failed: ${error.message}` : `${event}: ${answer ?? 'done'}`);
    });
  });
}
if (!document.getElementById('connect')) connect('');
