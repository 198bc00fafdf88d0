/*
 * The requests over HTTP: sign-in, registration and session. The session is in a
 * cookie that scripts cannot read, so nothing is kept here.
 */

import { ChatError } from './error.js';

export class Account {
  #base;

  constructor(base) {
    this.#base = base;
  }

  /** `{you, expires, guests, registration, accounts, limits}`; `you` is null if nobody is signed in. */
  session() {
    return this.#ask('GET', 'api/session');
  }

  /** Creates an account and signs in: `{you, expires}`. */
  register({ name, password }) {
    return this.#ask('POST', 'api/register', { name, password });
  }

  login({ name, password }) {
    return this.#ask('POST', 'api/login', { name, password });
  }

  /** Signs in as a guest. The name must be free. */
  guest({ name }) {
    return this.#ask('POST', 'api/guest', { name });
  }

  /** `remove`: rooms that may be deleted because a guest is their last member. Without them: `last_member`. */
  logout({ remove = [] } = {}) {
    return this.#ask('POST', 'api/logout', { remove });
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
    const result = await response.json().catch(() => null);
    if (response.ok && result) return result;
    throw new ChatError(
      result?.error?.code ?? 'unreachable', // Perhaps the error page of a proxy.
      result?.error?.message ?? `The server answered with ${response.status}.`,
      { retryAfter: Number(response.headers.get('Retry-After')) || null, rooms: result?.error?.rooms },
    );
  }
}
