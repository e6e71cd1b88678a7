//! This company among those whose offers are known.

use std::sync::Arc;

use async_trait::async_trait;
use recarga_reservation::OperatorId;
use recarga_wire::availability::AvailabilityQuery;

use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::offer::Offer;
use crate::peer::{Catalogue, CatalogueAnswer, PeerError};

/// This company's own offer, asked as any other's.
#[derive(Debug)]
pub struct OwnCatalogue {
    /// Who it is.
    pub operator: OperatorId,
    /// What there is.
    pub offer: Arc<Offer>,
    /// When it is free.
    pub ledger: Arc<Ledger>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Catalogue for OwnCatalogue {
    async fn page(&self, query: &AvailabilityQuery, _: Option<&str>) -> Result<CatalogueAnswer, PeerError> {
        let now = self.clock.now().utc;
        let over = || PeerError::Unreachable("the period is over".to_owned());
        let period = Offer::period(query, now).ok_or_else(over)?;
        let page = self.offer.answer(&self.operator, query, period, now, &self.ledger, |_| false);
        Ok(CatalogueAnswer::Page { page: Box::new(page), tag: None })
    }
}
