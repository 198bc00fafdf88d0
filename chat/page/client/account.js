/*
 * Who one is: the few requests over HTTP. The session is in a cookie that no
 * script can read, so there is nothing to keep here.
 */

import { ChatError } from './error.js';

export class Account {
  #base;

  constructor(base) {
    this.#base = base;
  }

  /** `{you, expires, guests, registration}`; `you` is null for who is not signed in. */
  session() {
    return this.#ask('GET', 'api/session');
  }

  /** A new account, signed in: `{you, expires}`. */
  register({ name, password }) {
    return this.#ask('POST', 'api/register', { name, password });
  }

  login({ name, password }) {
    return this.#ask('POST', 'api/login', { name, password });
  }

  /** A guest under a name that nobody has. */
  guest({ name }) {
    return this.#ask('POST', 'api/guest', { name });
  }

  logout() {
    return this.#ask('POST', 'api/logout', {});
  }

  async #ask(method, path, body) {
    let response;
    try {
      response = await fetch(new URL(path, this.#base), {
        method,
        headers: body && { 'Content-Type': 'application/json' },
        body: body && JSON.stringify(body),
      });
    } catch {
      throw new ChatError('unreachable', 'The server cannot be reached.');
    }
    if (response.status === 204) return null;
    const answer = await response.json().catch(() => null);
    if (response.ok && answer) return answer;
    throw new ChatError(
      answer?.error?.code ?? 'unreachable', // A proxy's own page, perhaps.
      answer?.error?.message ?? `The server answered with ${response.status}.`,
      { retryAfter: Number(response.headers.get('Retry-After')) || null },
    );
  }
}
