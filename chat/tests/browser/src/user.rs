//! A user of the chat, who acts only through the page: nothing here sends events of the protocol.

use std::{ops::Deref, rc::Rc};

use serde_json::{Value, json};

use crate::{Page, Proxy};

/// A user with a page of their own. Dereferences to the page.
pub struct User {
    page: Page,
    name: String,
    /// The network between this user's page and the server.
    pub network: Rc<Proxy>,
}

impl Deref for User {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

impl User {
    /// Opens the chat's page, without signing in.
    #[track_caller]
    pub(crate) fn open_page(page: Page, name: &str, network: Rc<Proxy>, scheme: &str) -> Self {
        let user = Self { page, name: name.to_owned(), network };
        user.go(&format!("{scheme}://{}/", user.network.address()));
        user.wait_for("'ready' in document.body.dataset");
        user
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates an account and waits for the chat.
    #[track_caller]
    pub fn register(&self) {
        self.click_on("$('#mode-register').parentElement");
        self.fill("#name", &self.name);
        self.fill("#password", PASSWORD);
        self.press("Enter");
        self.wait_until_connected();
    }

    /// Submits the sign-in form, whether or not it succeeds.
    #[track_caller]
    pub fn sign_in(&self) {
        self.fill("#name", &self.name);
        self.fill("#password", PASSWORD);
        self.click("#sign-in-button");
    }

    /// Signs in with the name that the form has kept.
    #[track_caller]
    pub fn sign_in_again(&self) {
        self.wait_for_value("$('#name').value", self.name());
        self.fill("#password", PASSWORD);
        self.click("#sign-in-button");
        self.wait_until_connected();
    }

    /// Waits until the chat is shown and connected.
    #[track_caller]
    pub fn wait_until_connected(&self) {
        self.wait_for_value(
            "[$('#connection').dataset.state, $('#chat').hidden, $('#chat').inert]",
            json!(["open", false, false]),
        );
    }

    /// Waits until the connection is lost and the page shows the next try.
    #[track_caller]
    pub fn wait_until_disconnected(&self) {
        self.wait_for_value("$('#connection').dataset.state", "waiting");
    }

    /// Opens a room or conversation from the list.
    #[track_caller]
    pub fn open(&self, name: &str) {
        self.click_on(&in_list(name));
        self.wait_for_value("$('#room-name').textContent", name);
    }

    /// Opens the room search and waits for its first result.
    #[track_caller]
    pub fn open_room_search(&self) {
        self.click("#find-room");
        // The results move other elements, so an earlier click could miss.
        self.wait_for("$('#found-rooms [data-room]')");
    }

    /// Creates and opens a room. `kind` is `public` or `invited`.
    #[track_caller]
    pub fn create_room(&self, name: &str, kind: &str) {
        self.open_room_search();
        self.click("#create-part summary");
        self.fill("#create-name", name);
        self.click_on(&format!("$('#create-form input[value={kind}]').parentElement"));
        self.click("#create");
        self.wait_for_value("$('#room-name').textContent", name);
    }

    /// Sends a message in the open room.
    #[track_caller]
    pub fn say(&self, text: &str) {
        self.fill("#text", text);
        // On a phone Enter makes a new line.
        if self.evaluate("matchMedia('(pointer: coarse)').matches") == true {
            self.click("#send");
        } else {
            self.press("Enter");
        }
        self.wait_for_value("$('#text').value", "");
    }

    /// Opens the private conversation with a user who has a message in the open room.
    #[track_caller]
    pub fn open_direct_with(&self, name: &str) {
        self.click_on(&format!(
            "$('.log:not([hidden]) .message[data-from=' + {} + '] .name')",
            json!(json!(name).to_string())
        ));
        self.click("#user-message");
        self.wait_for_value("$('#room-name').textContent", name);
    }

    /// Waits until the open room shows exactly these messages, each `(from, text)`, all of them sent.
    #[track_caller]
    pub fn sees_messages(&self, messages: &[(&str, &str)]) {
        let expected: Vec<Value> = messages.iter().map(|(from, text)| json!([from, text, "sent"])).collect();
        self.wait_for_value(MESSAGES_SHOWN, expected);
    }

    /// Waits until the list shows this unread count for a room.
    #[track_caller]
    pub fn sees_unread(&self, name: &str, count: u32) {
        self.wait_for_value(&format!("{}.dataset.unread", in_list(name)), count.to_string());
        let badge = format!("{}.querySelector('.badge')", in_list(name));
        let shown = if count == 0 { Value::Null } else { count.to_string().into() };
        self.wait_for_value(&format!("{badge}.checkVisibility() ? {badge}.textContent : null"), shown);
    }
}

/// The messages of the open room.
const MESSAGES_SHOWN: &str = "$$('.log:not([hidden]) .message').map((message) => [
    message.dataset.from, message.querySelector('.text').textContent, message.dataset.state])";

const PASSWORD: &str = "correct horse battery staple";

/// Returns an expression for a room's entry in the list.
fn in_list(name: &str) -> String {
    format!("$$('#rooms a[data-room]').find((entry) => entry.querySelector('.name').textContent === {})", json!(name))
}
