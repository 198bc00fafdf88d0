//! A chat as a whole: its store, its thread, and the apps of a server's workers.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread::JoinHandle,
};

use switchboard::Remote;

use super::{
    Chat, ChatConfig, ChatCore, OpenError,
    api::{Api, MAX_BODY_BYTES},
    config::SharedConfig,
    device::DeviceKey,
    front::Front,
    store::Store,
};

/// A chat, ready to be served.
///
/// ```no_run
/// use switchboard::{Config, Server};
/// use switchboard_chat::{ChatConfig, ChatService};
///
/// let chat = ChatService::open(ChatConfig::default())?;
/// let server = Server::bind("127.0.0.1:8080".parse()?, Config::default())?;
/// server.start(move |remote| chat.app(remote))?.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ChatService {
    config: SharedConfig,
    store: Mutex<Option<Store>>,
    device_key: DeviceKey,
    running: OnceLock<Running>,
}

struct Running {
    core: Arc<Front>,
    api: Api,
    thread: Option<JoinHandle<()>>,
}

impl ChatService {
    /// Maximum length of the body of a request to the chat, in bytes: enough for a name and a password. A server that
    /// serves nothing else sets it as [`Config::max_body_bytes`](switchboard::Config::max_body_bytes), so that longer
    /// bodies are refused before they are read.
    pub const MAX_BODY_BYTES: usize = MAX_BODY_BYTES;

    /// Opens the data, and migrates it if an older version wrote it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(mut config: ChatConfig) -> Result<Self, OpenError> {
        config.limits.clamp();
        let store = Store::open(&config.data)?;
        let device_key = store.device_key()?;
        Ok(Self {
            config: SharedConfig::new(config),
            store: Mutex::new(Some(store)),
            device_key,
            running: OnceLock::new(),
        })
    }

    /// Returns the app of one worker. The first call starts the chat's own threads, which reach connections through
    /// `remote`, so all calls must be for the same server.
    ///
    /// # Panics
    /// If the system cannot start a thread.
    #[must_use]
    pub fn app(&self, remote: &Remote) -> Chat {
        let Running { core, api, .. } = self.running.get_or_init(|| {
            let store = self.store.lock().unwrap_or_else(PoisonError::into_inner).take();
            let store = store.expect("the store is taken once");
            let (config, device_key) = (self.config.clone(), self.device_key.clone());
            let (core, thread) = Front::start(store, config, device_key, remote)
                .unwrap_or_else(|error| panic!("cannot start the chat's threads: {error}"));
            let core = Arc::new(core);
            let api = Api::new(Arc::clone(&core) as Arc<dyn ChatCore>, self.config.get(), self.device_key.clone());
            Running { core, api, thread: Some(thread) }
        });
        Chat::new(Arc::clone(core) as Arc<dyn ChatCore>, self.config.clone(), api.clone())
    }

    /// Replaces the configuration, also while the chat runs.
    ///
    /// The new limits count for what users do from now on. Members, rooms, connections, sessions and texts beyond them
    /// remain. `data`, `public_url` and `waiting_event_bytes` stay as they were when the chat was opened.
    pub fn set_config(&self, mut config: ChatConfig) {
        config.limits.clamp();
        let config = self.config.replace(config);
        if let Some(Running { api, .. }) = self.running.get() {
            api.set_limits(&config.limits);
        }
    }
}

/// Waits until the chat's thread has handled all commands and ended.
impl Drop for ChatService {
    fn drop(&mut self) {
        if let Some(Running { core, thread, .. }) = self.running.get_mut() {
            core.stop();
            if let Some(thread) = thread.take()
                && thread.join().is_err()
            {
                log::error!("the chat's thread has panicked");
            }
        }
    }
}

impl fmt::Debug for ChatService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatService").field("config", &self.config).finish_non_exhaustive()
    }
}
