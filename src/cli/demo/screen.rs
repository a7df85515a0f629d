//! The demo as a screen: regions, who goes where, the server's log, and keys to break things.

use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use crate::daemon::Status;

use super::scene::{Scene, Seen};

/// How often answers and states are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);
/// How long a changed answer stays marked.
const MARK_TIME: Duration = Duration::from_secs(4);
/// How long one wait for a key takes at most: the screen follows the world at this pace.
const KEY_WAIT: Duration = Duration::from_millis(50);

/// What is on the screen.
#[derive(Default)]
struct Picture {
    status: Option<Status>,
    seen: Vec<Seen>,
    moved: Vec<Option<Instant>>,
    log: Vec<String>,
    message: String,
    /// The next digit drains, and does not kill.
    draining: bool,
}

/// Draws until a key ends it.
pub async fn show(scene: &Scene) -> Result<(), String> {
    let mut terminal =
        ratatui::try_init().map_err(|error| format!("cannot draw here: {error}; try --plain"))?;
    let outcome = run(scene, &mut terminal).await;
    ratatui::restore();
    outcome
}

async fn run(scene: &Scene, terminal: &mut ratatui::DefaultTerminal) -> Result<(), String> {
    let mut picture = Picture::default();
    let (mut looked, mut id) = (None::<Instant>, 1u16);
    loop {
        if looked.is_none_or(|at| at.elapsed() >= LOOK_INTERVAL) {
            id = id.wrapping_add(1);
            picture.look(scene, id).await;
            looked = Some(Instant::now());
        }
        if scene.server.has_ended().await {
            let (lines, _) = scene.server.log_after(0);
            return Err(format!("the server has ended:\n{}", lines.join("\n")));
        }
        terminal.draw(|frame| picture.draw(frame, scene)).map_err(|error| format!("cannot draw: {error}"))?;
        // Waiting for a key blocks this thread only; the stand-ins live on the others.
        let waiting = tokio::task::block_in_place(|| event::poll(KEY_WAIT));
        if !waiting.map_err(|error| format!("no keys: {error}"))? {
            continue;
        }
        let Ok(Event::Key(key)) = event::read() else { continue };
        if key.kind != KeyEventKind::Press {
            continue;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
            KeyCode::Char('d') => {
                picture.draining = true;
                picture.message = "drain which region, or end its drain?".to_owned();
            }
            KeyCode::Char(digit) => {
                let draining = std::mem::take(&mut picture.draining);
                let index = digit.to_digit(10).and_then(|digit| (digit as usize).checked_sub(1));
                if let Some(stand_in) = index.and_then(|index| scene.stand_ins.get(index)) {
                    picture.message = if draining {
                        scene.drain_or_undo(&stand_in.region).await
                    } else if stand_in.is_alive() {
                        stand_in.kill();
                        format!("killed {}", stand_in.region)
                    } else {
                        match stand_in.revive().await {
                            Ok(()) => format!("revived {}", stand_in.region),
                            Err(why) => why,
                        }
                    };
                }
            }
            _ => {}
        }
    }
}

impl Picture {
    async fn look(&mut self, scene: &Scene, id: u16) {
        self.status = scene.status().await;
        let seen = scene.see_all(id).await;
        self.moved.resize(seen.len(), None);
        for (index, now) in seen.iter().enumerate() {
            let changed = self.seen.get(index).is_some_and(|before| before.region != now.region);
            if let (true, Some(moved)) = (changed, self.moved.get_mut(index)) {
                *moved = Some(Instant::now());
            }
        }
        self.seen = seen;
        self.log = scene.server.log_after(0).0;
    }

    fn draw(&self, frame: &mut Frame, scene: &Scene) {
        let lines = scene.lines_to_try();
        let [title, regions, people, log, tries, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(scene.stand_ins.len() as u16 + 3),
            Constraint::Length(self.seen.len() as u16 + 3),
            Constraint::Min(4),
            Constraint::Length(lines.len() as u16 + 2),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let source = self.status.as_ref().and_then(|status| status.attributions.first());
        frame.render_widget(
            Line::from(vec![
                Span::styled(" meridian ", bold.fg(Color::Cyan)),
                Span::raw(format!("answers {} on {}", scene.name, scene.address)),
                Span::styled(
                    source.map_or(String::new(), |by| format!("   {by}")),
                    Style::new().fg(Color::DarkGray),
                ),
            ]),
            title,
        );
        frame.render_widget(self.regions(scene), regions);
        frame.render_widget(self.people(), people);
        let room = usize::from(log.height.saturating_sub(2));
        let tail = self.log.iter().skip(self.log.len().saturating_sub(room));
        let tail: Vec<Line> = tail.map(|line| Line::from(line.as_str())).collect();
        frame.render_widget(Paragraph::new(tail).block(framed("the server's log")), log);
        let lines: Vec<Line> = lines.into_iter().map(Line::from).collect();
        frame.render_widget(Paragraph::new(lines).block(framed("try in another terminal")), tries);
        let hint = format!(
            " 1-{} kill or revive a region   d drain one   q quit   {}",
            scene.stand_ins.len(),
            self.message
        );
        frame.render_widget(Line::styled(hint, bold), keys);
    }

    fn regions(&self, scene: &Scene) -> Table<'_> {
        let rows: Vec<Row> = scene
            .stand_ins
            .iter()
            .enumerate()
            .map(|(index, stand_in)| {
                let own = self.status.iter().flat_map(|status| &status.endpoints);
                let own: Vec<_> = own.filter(|endpoint| endpoint.region == stand_in.region).collect();
                let probed = own.iter().flat_map(|endpoint| &endpoint.addresses);
                let probed = probed.filter(|address| address.state != "unmonitored");
                let state =
                    probed.clone().map(|address| address.state.as_str()).next().unwrap_or("?").to_owned();
                let drained = own.iter().any(|endpoint| endpoint.forced.as_deref() == Some("drained"));
                let state = if drained { format!("drained, {state}") } else { state };
                let why = probed.clone().find_map(|address| {
                    let failing = address.failures > 0 || address.state == "down";
                    address.last_failure.clone().filter(|_| failing)
                });
                let color = match state.as_str() {
                    "up" if why.is_none() => Color::Green,
                    "up" | "unknown" => Color::Yellow,
                    _ => Color::Red,
                };
                let first_byte = probed.clone().find_map(|address| address.first_byte_ms);
                let answers: u64 = own.iter().map(|endpoint| endpoint.answers).sum();
                Row::new(vec![
                    Cell::from(format!(" {}", index + 1)),
                    Cell::from(stand_in.region.clone()),
                    Cell::from(if stand_in.is_alive() { "alive" } else { "killed" }),
                    Cell::from(state).style(Style::new().fg(color)),
                    Cell::from(first_byte.map_or(String::new(), |ms| format!("{ms:.1} ms"))),
                    Cell::from(answers.to_string()),
                    Cell::from(why.unwrap_or_default()),
                ])
            })
            .collect();
        let widths = [3, 16, 9, 16, 10, 10].map(Constraint::Length).into_iter().chain([Constraint::Min(10)]);
        Table::new(rows, widths)
            .header(header(["key", "region", "stand-in", "health", "probe", "answers", "why"]))
            .block(framed("regions"))
    }

    fn people(&self) -> Table<'_> {
        let rows: Vec<Row> = self
            .seen
            .iter()
            .enumerate()
            .map(|(index, seen)| {
                let moved =
                    self.moved.get(index).copied().flatten().is_some_and(|at| at.elapsed() < MARK_TIME);
                let reply = seen.reply.as_ref();
                let addresses =
                    reply.map(|reply| reply.addresses.iter().map(ToString::to_string).collect::<Vec<_>>());
                let row = Row::new(vec![
                    Cell::from(format!(" {}", seen.person.city)),
                    Cell::from(seen.person.network),
                    Cell::from(seen.region.clone().unwrap_or_else(|| "no answer".to_owned())),
                    Cell::from(addresses.map_or(String::new(), |all| all.join(" "))),
                    Cell::from(
                        reply
                            .and_then(|reply| reply.scope)
                            .map_or(String::new(), |scope| format!("/{scope}")),
                    ),
                    Cell::from(reply.map_or(String::new(), |reply| format!("{} s", reply.ttl_s))),
                    Cell::from(if moved { "moved" } else { "" }),
                ]);
                if moved { row.style(Style::new().fg(Color::Yellow)) } else { row }
            })
            .collect();
        let widths = [15, 18, 16, 16, 7, 7].map(Constraint::Length).into_iter().chain([Constraint::Min(6)]);
        Table::new(rows, widths)
            .header(header(["client", "network", "region", "answer", "scope", "TTL", ""]))
            .block(framed("who goes where"))
    }
}

fn framed(title: &str) -> Block<'_> {
    Block::new()
        .borders(Borders::TOP)
        .title(format!(" {title} "))
        .border_style(Style::new().fg(Color::DarkGray))
}

fn header<const N: usize>(names: [&'static str; N]) -> Row<'static> {
    Row::new(names).style(Style::new().add_modifier(Modifier::DIM))
}
