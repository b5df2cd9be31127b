"""Usual names of the columns of histories."""

from __future__ import annotations

__all__ = ["HISTORY_NAMES", "ITEM_NAMES", "TIME_NAMES", "USER_NAMES"]

USER_NAMES = (
    *("user", "user_id", "userid", "customer", "customer_id", "customerid", "visitor", "visitor_id", "visitorid"),
    *("session", "session_id", "sessionid", "reviewerid", "reviewer_id", "listener", "member", "person", "uid"),
)
"""Usual names of the column of users, in lower case."""
ITEM_NAMES = (
    *("item", "item_id", "itemid", "movie", "movie_id", "movieid", "film", "product", "product_id", "productid"),
    *("asin", "parent_asin", "artist", "artist_id", "track", "track_id", "song", "book", "book_id", "isbn", "article"),
    *("article_id", "sku", "title"),
)
"""Usual names of the column of items, in lower case."""
TIME_NAMES = ("timestamp", "datetime", "date", "time", "event_time", "unixreviewtime", "created_at", "ts", "when")
"""Usual names of the column of times, in lower case."""
HISTORY_NAMES = ("history", "items", "sequence")
"""Usual names of a column that holds whole histories, in lower case."""
