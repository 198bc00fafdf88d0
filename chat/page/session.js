/*
 * The page's client, and its first request: it asks who is signed in while the texts are
 * being loaded.
 */

import { Client } from './client.js';
import { storageSlot } from './view/storage.js';

export const client = new Client({ outbox: storageSlot('sessionStorage', 'unsent') });

/** The answer to `client.session()`. */
export const firstSession = client.session();
firstSession.catch(() => {}); // `SignIn` reports the error.
