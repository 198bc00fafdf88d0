//! Somebody in the chat, who sees and does what users do: no event of the protocol is sent here.

use std::{ops::Deref, rc::Rc};

use serde_json::{Value, json};

use crate::{Page, Proxy};

/// Somebody at a page of their own, which a user can be used as.
pub struct User {
    page: Page,
    name: String,
    /// What lies between their browser and the server, and no one else's.
    pub network: Rc<Proxy>,
}

impl Deref for User {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

impl User {
    /// Somebody with the chat's page before them, who has not come in.
    #[track_caller]
    pub(crate) fn open_page(page: Page, name: &str, network: Rc<Proxy>) -> Self {
        let user = Self { page, name: name.to_owned(), network };
        user.go(&format!("http://{}/", user.network.address()));
        user.wait_for("'ready' in document.body.dataset");
        user
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes an account, and is in the chat.
    #[track_caller]
    pub fn register(&self) {
        self.click_on("$('#mode-register').parentElement");
        self.fill("#name", &self.name);
        self.fill("#password", PASSWORD);
        self.press("Enter");
        self.wait_until_connected();
    }

    /// Says at the entrance who one is, whether or not it leads in.
    #[track_caller]
    pub fn sign_in(&self) {
        self.fill("#name", &self.name);
        self.fill("#password", PASSWORD);
        self.click("#sign-in-button");
    }

    /// Logs in, the name being there already.
    #[track_caller]
    pub fn sign_in_again(&self) {
        self.wait_for_value("$('#name').value", self.name());
        self.fill("#password", PASSWORD);
        self.click("#sign-in-button");
        self.wait_until_connected();
    }

    /// Waits until the chat is there, with a connection.
    #[track_caller]
    pub fn wait_until_connected(&self) {
        self.wait_for_value(
            "[$('#connection').dataset.state, $('#chat').hidden, $('#chat').inert]",
            json!(["open", false, false]),
        );
    }

    /// Waits until the connection is lost, and its return announced.
    #[track_caller]
    pub fn wait_until_disconnected(&self) {
        self.wait_for_value("$('#connection').dataset.state", "waiting");
    }

    /// Opens a room, or a conversation, from the list.
    #[track_caller]
    pub fn open(&self, name: &str) {
        self.click_on(&in_list(name));
        self.wait_for_value("$('#room-name').textContent", name);
    }

    /// Opens the dialog in which rooms are found, and has seen the first.
    #[track_caller]
    pub fn open_room_search(&self) {
        self.click("#find-room");
        // They make the dialog larger, and a click before that might find something else in its place.
        self.wait_for("$('#found-rooms [data-room]')");
    }

    /// Makes a room, and is in it. Its kind is `public` or `invited`.
    #[track_caller]
    pub fn create_room(&self, name: &str, kind: &str) {
        self.open_room_search();
        self.click("#create-part summary");
        self.fill("#create-name", name);
        self.click_on(&format!("$('#create-form input[value={kind}]').parentElement"));
        self.click("#create");
        self.wait_for_value("$('#room-name').textContent", name);
    }

    /// Writes in the room that is open, and sends it.
    #[track_caller]
    pub fn say(&self, text: &str) {
        self.fill("#text", text);
        self.press("Enter");
        self.wait_for_value("$('#text').value", "");
    }

    /// Writes to somebody who has spoken in the room that is open.
    #[track_caller]
    pub fn open_direct_with(&self, name: &str) {
        self.click_on(&format!(
            "$('.log:not([hidden]) .message[data-from=' + {} + '] .name')",
            json!(json!(name).to_string())
        ));
        self.click("#user-message");
        self.wait_for_value("$('#room-name').textContent", name);
    }

    /// Waits until the conversation that is open has exactly these messages, each `[from, text]`, all of them sent.
    #[track_caller]
    pub fn sees_messages(&self, messages: &[(&str, &str)]) {
        let expected: Vec<Value> = messages.iter().map(|(from, text)| json!([from, text, "sent"])).collect();
        self.wait_for_value(MESSAGES_SHOWN, expected);
    }

    /// Waits until so many messages are not read in the room of this name, as its entry in the list says.
    #[track_caller]
    pub fn sees_unread(&self, name: &str, count: u32) {
        self.wait_for_value(&format!("{}.dataset.unread", in_list(name)), count.to_string());
        let badge = format!("{}.querySelector('.badge')", in_list(name));
        let shown = if count == 0 { Value::Null } else { count.to_string().into() };
        self.wait_for_value(&format!("{badge}.checkVisibility() ? {badge}.textContent : null"), shown);
    }
}

/// The messages of the conversation that is open.
const MESSAGES_SHOWN: &str = "$$('.log:not([hidden]) .message').map((message) => [
    message.dataset.from, message.querySelector('.text').textContent, message.dataset.state])";

const PASSWORD: &str = "correct horse battery staple";

/// The entry of a room in the list, as an expression.
fn in_list(name: &str) -> String {
    format!("$$('#rooms a[data-room]').find((entry) => entry.querySelector('.name').textContent === {})", json!(name))
}
