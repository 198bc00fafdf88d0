//! A server, and a browser in which users open the chat, each over a network of their own.

use std::{cell::RefCell, rc::Rc};

use crate::{Authority, Browser, Display, Page, Proxy, Server, User};

/// The chat under test. Dropping it ends all its parts.
pub struct Chat {
    // Dropped in this order: the browser checks its pages for faults, and a lost network would cause some.
    pub browser: Browser,
    networks: RefCell<Vec<Rc<Proxy>>>,
    pub server: Server,
}

impl Chat {
    /// Starts a chat whose server has these arguments.
    #[track_caller]
    pub fn open(arguments: &[&str]) -> Self {
        let server = Server::start(&[&RATES, arguments].concat());
        Self { browser: Browser::start(), networks: RefCell::default(), server }
    }

    /// Starts a chat over https, whose certificate the browser trusts.
    #[track_caller]
    pub fn open_encrypted(authority: &Authority, arguments: &[&str]) -> Self {
        let options = authority.options();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let server = Server::start(&[&RATES, &*options, arguments].concat());
        Self { browser: Browser::start_trusting(authority), networks: RefCell::default(), server }
    }

    /// Opens the page for a user who has not signed in.
    #[track_caller]
    pub fn visitor(&self, name: &str, display: Display) -> User {
        self.visitor_with(name, display, |_, _| {})
    }

    /// Opens the page like `visitor`, after `prepare` has changed the empty page and its network.
    #[track_caller]
    pub fn visitor_with(&self, name: &str, display: Display, prepare: impl FnOnce(&Page, &Proxy)) -> User {
        let network = Rc::new(Proxy::start(self.server.address()));
        self.networks.borrow_mut().push(Rc::clone(&network));
        let page = self.browser.page(name, display);
        prepare(&page, &network);
        User::open_page(page, name, network, self.server.scheme())
    }

    /// Opens the page for a user, who registers and enters the Lobby.
    #[track_caller]
    pub fn user(&self, name: &str) -> User {
        let user = self.visitor(name, Display::default());
        user.register();
        user.wait_for_value("$('#room-name').textContent", "Lobby");
        user
    }

    /// Makes a user an operator by the program's command, and waits until the server has noticed that another process
    /// has changed its data: up to a second later.
    #[track_caller]
    pub fn make_operator(&self, user: &User) {
        self.server.command(&["user", "operator", user.name()]);
        user.wait_for(&format!(
            "import('./client.js').then(async ({{ Client }}) => {{
                const client = new Client();
                const welcome = new Promise((resolve) => client.on('welcome', resolve));
                client.connect();
                const {{ rooms }} = await welcome;
                const {{ room }} = rooms.find(({{ name }}) => name === 'Lobby');
                const {{ members }} = await client.emit('members', {{ room }}).finally(() => client.forget());
                return members.find(({{ name }}) => name === {}).operator;
            }})",
            serde_json::Value::from(user.name()),
        ));
    }
}

/// All users sign in from the same address.
const RATES: [&str; 4] = ["--sign-in-rate", "1000+1000/s", "--sign-up-rate", "1000+1000/s"];
