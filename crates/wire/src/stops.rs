//! Checks that every list of stops shares.

use recarga_reservation::{TimeWindow, Timestamp};

use crate::problem::{Problem, ProblemKind};

/// The window of one stop; `path` is where the stop stands, as in `paradas[1]`.
pub(crate) fn window(
    start: Timestamp,
    end: Timestamp,
    path: impl FnOnce() -> String,
) -> Result<TimeWindow, Problem> {
    TimeWindow::new(start, end).map_err(|_| {
        let detail = if start == end {
            "a janela está vazia: `janela_fim` deve ser posterior a `janela_inicio`"
        } else {
            "a janela termina antes de começar: `janela_fim` deve ser posterior a `janela_inicio`"
        };
        Problem::new(ProblemKind::ReversedWindow, detail).at(format!("{}.janela_fim", path()))
    })
}
