//! Many peers in one process, on real sockets: a load for a super-peer that is another process.
//!
//! `bench people INVITE COUNT` registers so many, says `ready` when all are at home, and then, for
//! each line `search SECONDS` on its standard input, has all of them search for each other without
//! a pause. It ends with its standard input.

use std::io::BufRead;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use earshot_node::driver::{Driver, Handle, Keep, Mail, Receipt, Residence, Settings, runtime};
use earshot_node::{clock, seed};
use earshot_proto::ids::UserName;
use earshot_proto::peer::command::{Command, Notice};
use earshot_proto::peer::search::Sought;
use earshot_proto::peer::{Config, Peer, Record};
use earshot_proto::port::{PathPolicy, RelayServer};
use earshot_proto::secure::password::{Password, StretchCost};
use earshot_proto::wire::bounded::Text;
use earshot_proto::wire::directory::Reachability;
use earshot_proto::wire::invite::Invite;
use tokio::sync::mpsc;

/// For whatever takes a few messages.
const SOON: Duration = Duration::from_secs(60);
/// Searches of one peer that are under way at once.
const ABREAST: usize = 4;
/// How long after a look at what a peer has the next may come.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const PASSWORD: &str = "a password for benches only";

/// Runs it, to the end of the standard input.
///
/// # Errors
/// What went wrong, for people.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let [invite, count] = arguments else { return Err("people INVITE COUNT".to_owned()) };
    let invite = Invite::from_uri(invite).map_err(|e| e.to_string())?;
    let count: usize = count.parse().map_err(|_| "COUNT is no number".to_owned())?;
    let runtime = runtime().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let mut crowd = Crowd::gather(&invite, count).await?;
        println!("ready");
        let (lines, mut orders) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        while let Some(line) = orders.recv().await {
            let seconds = line.strip_prefix("search ").and_then(|text| text.parse().ok());
            let seconds = seconds.ok_or_else(|| format!("`{line}` is not understood"))?;
            let found = crowd.search(Duration::from_secs(seconds)).await?;
            println!("found {found}");
        }
        Ok(())
    })
}

/// What so many new users were given to relay by at the super-peer of an invite.
///
/// # Errors
/// What went wrong, for people.
pub(super) fn relays(invite: &str, count: usize) -> Result<Vec<RelayServer>, String> {
    let invite = Invite::from_uri(invite).map_err(|e| e.to_string())?;
    let runtime = runtime().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let mut crowd = Crowd::gather(&invite, count).await?;
        let mut relays = Vec::new();
        let end = Instant::now() + SOON;
        for (user, handle) in &crowd.people {
            let before = relays.len();
            // The grant comes soon after the home is found, and nobody is told.
            while relays.len() == before && Instant::now() < end {
                let servers = handle.call(|peer, _| peer.relays()).await;
                let servers = servers.map_err(|e| e.to_string())?;
                let granted = servers.into_iter().find(|server| server.relays());
                match granted {
                    Some(granted) => relays.push(granted),
                    None => drop(tokio::time::timeout(LOOK_AGAIN, crowd.told.recv()).await),
                }
            }
            if relays.len() == before {
                return Err(format!("{} may not relay", user.as_str()));
            }
        }
        Ok(relays)
    })
}

struct Crowd {
    driver: Driver,
    people: Vec<(UserName, Handle<Peer>)>,
    told: mpsc::UnboundedReceiver<(usize, Notice)>,
}

/// What a load forgets.
struct Forgetful;

impl Keep<Record> for Forgetful {
    fn save(&mut self, _record: Record, receipt: Receipt) {
        receipt.saved();
    }
}

impl Crowd {
    async fn gather(invite: &Invite, count: usize) -> Result<Self, String> {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let driver = Driver::start(Settings::new(here)).await.map_err(|e| e.to_string())?;
        let (tell, told) = mpsc::unbounded_channel();
        let mut crowd = Self { driver, people: Vec::new(), told };
        for number in 0..count {
            let user = format!("person{number}");
            let user = UserName::new(&user).map_err(|e| e.to_string())?;
            let tell = tell.clone();
            let residence = Residence {
                machine: Peer::new(config()?, Instant::now()),
                services: Vec::new(),
                mail: Mail::None,
                keep: Box::new(Forgetful),
                notices: Box::new(move |notice| _ = tell.send((number, notice))),
                voice: None,
            };
            let handle = crowd.driver.house(residence).await.map_err(|e| e.to_string())?;
            crowd.people.push((user, handle));
            crowd.comes_home(number, invite).await?;
        }
        Ok(crowd)
    }

    /// Joins, registers, and waits until the registration is kept.
    async fn comes_home(&mut self, number: usize, invite: &Invite) -> Result<(), String> {
        let (user, _) = &self.people[number];
        let display_name = Text::new(user.as_str()).map_err(|e| e.to_string())?;
        let password = Password::new(PASSWORD).map_err(|e| format!("{e:?}"))?;
        let register = Command::Register { user: user.clone(), password, display_name };
        self.command(number, Command::Join(Box::new(invite.clone()))).await?;
        self.command(number, register).await?;
        let home = async {
            while let Some((who, notice)) = self.told.recv().await {
                if let Notice::Network(view) = &notice
                    && who == number
                    && view.keepers > 0
                {
                    return Ok(());
                }
                if let Notice::Answer(_, answer) = &notice
                    && answer.is_err()
                {
                    return Err(format!("person{who}: {answer:?}"));
                }
            }
            Err("everybody left".to_owned())
        };
        tokio::time::timeout(SOON, home).await.map_err(|_| format!("person{number} has no home"))?
    }

    async fn command(&self, number: usize, command: Command) -> Result<(), String> {
        let (_, handle) = &self.people[number];
        let given = handle.call(move |peer, now| peer.command(now, 1, command)).await;
        given.map_err(|e| e.to_string())
    }

    /// Everybody searches for one after the other; how many were found.
    async fn search(&mut self, time: Duration) -> Result<u64, String> {
        let end = Instant::now() + time;
        let (mut found, mut next) = (0, 0);
        for number in (0..self.people.len()).cycle().take(self.people.len() * ABREAST) {
            self.search_next(number, &mut next).await?;
        }
        while Instant::now() < end {
            let told = tokio::time::timeout(SOON, self.told.recv()).await;
            let told = told.map_err(|_| "nobody is told anything")?;
            let (number, notice) = told.ok_or("everybody left")?;
            if let Notice::SearchEnded { found: hits, .. } = notice {
                found += hits as u64;
                self.search_next(number, &mut next).await?;
            }
        }
        Ok(found)
    }

    async fn search_next(&self, number: usize, next: &mut usize) -> Result<(), String> {
        *next = (*next + 1) % self.people.len();
        let (user, _) = &self.people[*next];
        self.command(number, Command::Search(Sought::exactly(user.clone()))).await
    }
}

fn config() -> Result<Config, String> {
    Ok(Config {
        listen_port: 0,
        pretend: Some(Reachability::Natted),
        cost: StretchCost::LEAST,
        addresses: PathPolicy::Any,
        network: None,
        users: Vec::new(),
        wall: clock::unix_now(),
        seed: *seed::draw().map_err(|e| e.to_string())?,
    })
}
