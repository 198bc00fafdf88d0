//! The whole: a server, and a browser in which users open the chat, each over a network of their own.

use std::{cell::RefCell, rc::Rc};

use crate::{Browser, Display, Proxy, Server, User};

/// A chat to be tested. It ends when dropped.
pub struct Chat {
    // In the order in which they are to be dropped: the browser asks its pages whether all was well, and a network that
    // is gone would not be.
    pub browser: Browser,
    networks: RefCell<Vec<Rc<Proxy>>>,
    pub server: Server,
}

impl Chat {
    /// Opens one whose server has these arguments.
    #[track_caller]
    pub fn open(arguments: &[&str]) -> Self {
        // Everybody here signs in from the same address.
        let server = Server::start(&[&["--sign-in-rate", "1000+1000/s"], arguments].concat());
        Self { browser: Browser::start(), networks: RefCell::default(), server }
    }

    /// Somebody who has the page before them.
    #[track_caller]
    pub fn visitor(&self, name: &str, display: Display) -> User {
        let network = Rc::new(Proxy::start(self.server.address()));
        self.networks.borrow_mut().push(Rc::clone(&network));
        User::open_page(self.browser.page(name, display), name, network)
    }

    /// Somebody with an account, who is in the Lobby.
    #[track_caller]
    pub fn user(&self, name: &str) -> User {
        let user = self.visitor(name, Display::default());
        user.register();
        user.wait_for_value("$('#room-name').textContent", "Lobby");
        user
    }
}
